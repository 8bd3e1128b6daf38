"""Uploads cut at any byte, restarts, rot and collections in any order: only whole bytes are stored."""

import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from parfocal.registry import FileEntry, FolderRegistry
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.copies import PartialFiles
from parfocal.registry.errors import BlobCorrupt
from parfocal.registry.values import digest_of, digest_of_file

CONTENTS = (b"a" * 50, b"b" * 51 + b"c", bytes(range(256)))
ENTRIES = [FileEntry("adapter_model.safetensors", len(data), digest_of(data)) for data in CONTENTS]
OWNERS = ("ann", "ben")
owners, contents = st.sampled_from(OWNERS), st.sampled_from(range(len(CONTENTS)))


class CutUploads(RuleBasedStateMachine):
    """Two owners who upload the same three files, of which a process may forget everything but its disk."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.path = Path(self.scratch.name)
        self.rotten: set[str] = set()
        self.kept: set[tuple[str, str]] = set()
        self.begin()

    def begin(self) -> None:
        self.registry = FolderRegistry(self.path / "registry")
        self.partial = PartialFiles(self.path / "partial", keep_s=1e6)

    @rule(owner=owners, which=contents, back=st.integers(0, 60), count=st.integers(1, 300))
    def send(self, owner: str, which: int, back: int, count: int) -> None:
        """Goes on where the upload was, or some bytes before, and is cut after `count` bytes or ends."""
        entry, key = ENTRIES[which], f"{owner}-{which}"
        offset = max(0, self.partial.received(key) - back)
        try:
            with self.partial.arriving(key, entry, offset) as file:
                file.write(CONTENTS[which][offset : offset + count])
                if file.received < entry.size:
                    return
                file.check()
                self.registry.receive(file.path, entry, owner, seconds=1e6)
                file.remove()
            self.kept.add((owner, entry.digest))
        except BlobCorrupt:
            assert key in self.rotten
            assert self.partial.received(key) == 0
        self.rotten.discard(key)

    @rule(owner=owners, which=contents)
    def rot(self, owner: str, which: int) -> None:
        """Changes the first byte of what has come."""
        path = self.path / "partial" / f"{owner}-{which}"
        if path.exists() and path.stat().st_size:
            data = path.read_bytes()
            path.write_bytes(bytes([CONTENTS[which][0] ^ 1]) + data[1:])
            self.rotten.add(path.name)

    @rule()
    def restart(self) -> None:
        self.begin()

    @rule()
    def collect(self) -> None:
        self.registry.collect_garbage(most=True)

    @rule(owner=owners)
    def ask(self, owner: str) -> None:
        """An owner is told of what they have sent, and of nothing that only others have."""
        missing = self.registry.missing(ENTRIES, owner, 1e6, lambda digest: False)
        there = {entry.digest for entry in ENTRIES} - {entry.digest for entry in missing}
        assert there == {digest for who, digest in self.kept if who == owner}

    @invariant()
    def what_is_stored_is_whole_and_what_was_sent_is_stored(self) -> None:
        blobs = FolderBlobs(self.path / "registry")
        stored = {blob.digest for blob in blobs.stored()}
        assert all(digest_of_file(blobs.path(digest)) == digest for digest in stored)
        assert {digest for _, digest in self.kept} <= stored

    def teardown(self) -> None:
        del self.registry
        self.scratch.cleanup()


CutUploads.TestCase.settings = settings(max_examples=25, stateful_step_count=25)
TestCutUploads = CutUploads.TestCase


def test_an_upload_that_nobody_goes_on_with_is_removed(tmp_path: Path) -> None:
    entry = ENTRIES[0]
    partial = PartialFiles(tmp_path, keep_s=1e6)
    with partial.arriving("x", entry, 0) as file:
        file.write(b"aa")
        PartialFiles(tmp_path, keep_s=-1).sweep()
        assert partial.received("x") == 2
    partial.sweep()
    assert partial.received("x") == 2
    PartialFiles(tmp_path, keep_s=-1).sweep()
    assert partial.received("x") == 0


def test_uploads_that_were_cut_take_no_more_room_than_they_may(tmp_path: Path) -> None:
    partial = PartialFiles(tmp_path, keep_s=1e6)
    for number, name in enumerate(["old", "new"]):
        with partial.arriving(name, ENTRIES[0], 0) as file:
            file.write(b"aaa")
        os.utime(tmp_path / name, (1e9 + number, 1e9 + number))
    PartialFiles(tmp_path, keep_s=1e12).sweep(most_bytes=5)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
