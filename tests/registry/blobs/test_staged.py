"""Content on its way into a folder: its digest is that of the bytes which were written, however they came."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parfocal.registry.blobs import Blob, FolderBlobs
from parfocal.registry.blobs.folder.staged import Sizes, StagedFile
from parfocal.registry.disk import SyncBehind
from parfocal.registry.errors import StorageError
from parfocal.registry.values import Readable, digest_of

SMALL = st.integers(1, 40)


class Trickle:
    """A source that gives less than it is asked for."""

    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        return self._rest.read(min(3, size))


def in_memory(data: bytes, folder: Path) -> Readable:
    return io.BytesIO(b"before" + data)


def in_a_file(data: bytes, folder: Path) -> Readable:
    (folder / "source").write_bytes(b"before" + data)
    return (folder / "source").open("rb")


def trickling(data: bytes, folder: Path) -> Readable:
    return Trickle(b"before" + data)


@pytest.mark.parametrize("source_of", [in_memory, in_a_file, trickling])
@given(data=st.binary(max_size=200), sizes=st.builds(Sizes, window=SMALL, hashed=SMALL, written=SMALL))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_the_rest_of_any_source_is_written_and_hashed_in_pieces_of_any_size(
    tmp_path: Path, source_of: Callable[[bytes, Path], Readable], data: bytes, sizes: Sizes
) -> None:
    source = source_of(data, tmp_path)
    opened_source = source if isinstance(source, io.BufferedReader) else io.BytesIO()
    assert source.read(3) + source.read(3) == b"before"
    kept: list[tuple[bytes, str]] = []
    told: list[int] = []
    path = tmp_path / "blob"
    with opened_source, path.open("w+b") as opened:
        staged = StagedFile(
            opened, path, tmp_path, lambda file, digest: kept.append((file.read_bytes(), digest)), sizes
        )
        assert staged.fill(source, told.append) == Blob(digest_of(data), len(data))
        with staged.open() as written:
            assert written.read() == data
        staged.keep()
    path.unlink()
    assert kept == [(data, digest_of(data))]
    assert sum(told) == len(data)


@pytest.mark.parametrize("size", [4 << 20, (64 << 20) + 1])
def test_a_file_of_more_than_one_piece_is_stored(tmp_path: Path, size: int) -> None:
    data = os.urandom(1 << 20) * (size >> 20) + b"x" * (size % (1 << 20))
    (tmp_path / "source").write_bytes(data)
    blobs = FolderBlobs(tmp_path / "registry")
    with (tmp_path / "source").open("rb") as source:
        blob = blobs.put(source)
    assert blob == Blob(digest_of(data), size)
    assert blobs.path(blob.digest).read_bytes() == data


def test_what_is_not_kept_leaves_nothing_and_is_nowhere_before(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    with blobs.stage() as staged:
        blob = staged.fill(io.BytesIO(b"x"))
        assert blobs.size(blob.digest) is None
    assert list(blobs.stored()) == []
    assert list((tmp_path / "staging").iterdir()) == []


def test_what_is_kept_heals_a_rotten_blob(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    path = blobs.path(blobs.put(io.BytesIO(b"good")).digest)
    path.unlink()
    path.write_bytes(b"rotten")
    with blobs.stage() as staged:
        staged.fill(io.BytesIO(b"good"))
        assert path.read_bytes() == b"rotten"
        staged.keep()
    assert path.read_bytes() == b"good"
    assert path.stat().st_mode & 0o222 == 0


def test_a_folder_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="gone"), FolderBlobs(tmp_path / "gone").stage():
        pass
    assert not (tmp_path / "gone").exists()


def test_a_source_that_fails_later_leaves_nothing(tmp_path: Path) -> None:
    class Failing(Trickle):
        def read(self, size: int = -1, /) -> bytes:
            if not (piece := super().read(size)):
                raise OSError("gone")
            return piece

    blobs = FolderBlobs(tmp_path)
    with pytest.raises(StorageError, match="gone"):
        blobs.put(Failing(b"some bytes"))
    assert list(blobs.stored()) == []
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_disk_that_fails_behind_the_writer_is_told_to_it() -> None:
    reader, writer = os.pipe()  # which no disk keeps
    try:
        with SyncBehind(writer) as syncing:
            syncing.begin()
            with pytest.raises(OSError, match="Invalid argument"):
                syncing.wait()
            syncing.wait()
            syncing.begin()
            with pytest.raises(OSError, match="Invalid argument"):
                syncing.begin()
    finally:
        os.close(reader)
        os.close(writer)
