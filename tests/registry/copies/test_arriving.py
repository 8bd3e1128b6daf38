"""A file that arrives in pieces and is brought to the disk while it does."""

import os
import time
from pathlib import Path

import pytest

from parfocal.registry.copies import PartialFiles
from parfocal.registry.errors import BlobCorrupt, OffsetOutOfRange, RegistryBusy
from parfocal.registry.values import FileEntry, digest_of

PIECE = bytes(range(256)) * 4096


def test_a_file_of_many_pieces_arrives_whole(tmp_path: Path) -> None:
    data = PIECE * 20
    entry = FileEntry("adapter_model.safetensors", len(data), digest_of(data))
    with PartialFiles(tmp_path, 60).arriving("x", entry, 0) as file:
        for _ in range(20):
            file.write(PIECE)
        file.check()
        assert file.path.read_bytes() == data


def test_a_file_that_came_otherwise_is_not_kept(tmp_path: Path) -> None:
    entry = FileEntry("adapter_model.safetensors", 20 * len(PIECE), digest_of(b"something else"))
    with PartialFiles(tmp_path, 60).arriving("x", entry, 0) as file:
        for _ in range(20):
            file.write(PIECE)
        with pytest.raises(BlobCorrupt):
            file.check()
    assert list(tmp_path.iterdir()) == []


def entry_of(data: bytes) -> FileEntry:
    return FileEntry("adapter_model.safetensors", len(data), digest_of(data))


def left(files: PartialFiles, key: str, data: bytes) -> None:
    """Part of a file comes, and no more."""
    with files.arriving(key, entry_of(data + b"the rest"), 0) as file:
        file.write(data)


def test_a_file_that_was_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    files, data = PartialFiles(tmp_path, 60), b"first and second"
    left(files, "x", data[:6])
    assert (files.received("x"), files.received("y")) == (6, 0)
    with files.arriving("x", entry_of(data), 6) as file:
        file.write(data[6:])
        file.check()
        assert (file.received, file.path.read_bytes()) == (len(data), data)
        file.remove()
    assert list(tmp_path.iterdir()) == []


def test_who_goes_on_before_the_end_of_what_came_writes_it_again(tmp_path: Path) -> None:
    files, data = PartialFiles(tmp_path, 60), b"first and second"
    left(files, "x", b"first and sXX")
    with files.arriving("x", entry_of(data), 11) as file:
        file.write(data[11:])
        file.check()


def test_nobody_goes_on_beyond_what_has_come_and_is_told_how_much_that_is(tmp_path: Path) -> None:
    files = PartialFiles(tmp_path, 60)
    left(files, "x", b"first")
    with (
        pytest.raises(OffsetOutOfRange, match="5 have come; go on there") as refused,
        files.arriving("x", entry_of(b"first and second"), 6),
    ):
        pass
    assert refused.value.metadata["received"] == "5"
    assert files.received("x") == 5


def test_two_do_not_write_to_one_file(tmp_path: Path) -> None:
    files, entry = PartialFiles(tmp_path, 60), entry_of(PIECE)
    with files.arriving("x", entry, 0) as file:
        with pytest.raises(RegistryBusy, match="on its way already"), files.arriving("x", entry, 0):
            pass
        with files.arriving("y", entry, 0) as other:
            other.write(PIECE)
        file.write(PIECE)
        file.check()


def test_a_file_that_was_moved_to_its_place_stays_there(tmp_path: Path) -> None:
    files, place = PartialFiles(tmp_path / "partial", 60), tmp_path / "place"
    with files.arriving("x", entry_of(PIECE), 0) as file:
        file.write(PIECE)
        file.check()
        file.path.replace(place)
        file.remove()
    assert place.read_bytes() == PIECE


def test_what_was_left_too_long_ago_goes_and_what_comes_now_stays(tmp_path: Path) -> None:
    files = PartialFiles(tmp_path, keep_s=60)
    for key, age_s in (("old", 61), ("young", 30), ("under-way", 61)):
        left(files, key, key.encode())
        os.utime(tmp_path / key, (time.time() - age_s,) * 2)
    with files.arriving("under-way", entry_of(b"under-way"), 9) as file:
        os.utime(tmp_path / "under-way", (time.time() - 61,) * 2)
        files.sweep()
        assert {path.name for path in tmp_path.iterdir()} == {"young", "under-way"}
        file.check()


def test_where_there_is_too_much_the_oldest_goes_first(tmp_path: Path) -> None:
    files = PartialFiles(tmp_path, keep_s=3600)
    for age_s in (10, 30, 20):
        left(files, f"{age_s}", bytes(100))
        os.utime(tmp_path / f"{age_s}", (time.time() - age_s,) * 2)
    files.sweep(most_bytes=250)
    assert {path.name for path in tmp_path.iterdir()} == {"10", "20"}
    files.sweep(most_bytes=0)
    assert list(tmp_path.iterdir()) == []
    PartialFiles(tmp_path / "never made", 60).sweep()
