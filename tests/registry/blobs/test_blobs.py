"""Blobs: content under its digest, whole or not at all."""

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parfocal.registry.blobs import Blob, BlobStore, FolderBlobs
from parfocal.registry.errors import BlobMissing, InvalidDigest, StorageError
from parfocal.registry.values.digest import digest_of


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path)


@given(data=st.binary(max_size=2000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_content_comes_back_under_its_digest(blobs: FolderBlobs, data: bytes) -> None:
    store: BlobStore = blobs
    blob = store.put(io.BytesIO(data))
    assert blob == Blob(digest_of(data), len(data))
    assert store.size(blob.digest) == len(data)
    with store.open(blob.digest) as file:
        assert file.read() == data


def test_what_was_never_put_is_not_there(blobs: FolderBlobs) -> None:
    digest = digest_of(b"nobody put this")
    assert blobs.size(digest) is None
    with pytest.raises(BlobMissing, match=digest):
        blobs.open(digest)


@pytest.mark.parametrize("text", ["../../etc/passwd", "sha256:../../x", "sha256:" + "A" * 64, ""])
def test_only_a_digest_opens_a_blob(blobs: FolderBlobs, text: str) -> None:
    with pytest.raises(InvalidDigest):
        blobs.open(text)


def test_putting_again_heals_a_rotten_blob(blobs: FolderBlobs) -> None:
    digest = blobs.put(io.BytesIO(b"good")).digest
    path = blobs.path(digest)
    path.unlink()
    path.write_bytes(b"rotten")
    blobs.put(io.BytesIO(b"good"))
    assert path.read_bytes() == b"good"


def test_a_stored_blob_is_not_writable(blobs: FolderBlobs) -> None:
    digest = blobs.put(io.BytesIO(b"x")).digest
    assert blobs.path(digest).stat().st_mode & 0o222 == 0


def test_a_source_that_fails_leaves_nothing(blobs: FolderBlobs, tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("gone")

    with pytest.raises(StorageError, match="gone"):
        blobs.put(Broken())
    assert list(blobs.stored()) == []
    assert list((tmp_path / "staging").iterdir()) == []


def test_stored_blobs_are_listed_and_removed(blobs: FolderBlobs) -> None:
    kept, dropped = blobs.put(io.BytesIO(b"kept")), blobs.put(io.BytesIO(b"dropped"))
    assert {blob.digest for blob in blobs.stored()} == {kept.digest, dropped.digest}
    blobs.remove(dropped.digest)
    blobs.remove(dropped.digest)
    assert list(blobs.stored()) == [kept]
