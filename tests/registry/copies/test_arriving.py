"""A file that arrives in pieces and is brought to the disk while it does."""

from pathlib import Path

import pytest

from parfocal.registry.copies import PartialFiles
from parfocal.registry.errors import BlobCorrupt
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
