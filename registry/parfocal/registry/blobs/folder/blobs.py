"""Blobs in a folder. Knows no adapters; the manifest says what a blob means."""

import errno
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.blobs.folder.journal import FileJournal
from parfocal.registry.blobs.folder.staged import StagedFile
from parfocal.registry.blobs.store import Blob, StagedBlob
from parfocal.registry.disk import (
    Staging,
    disk_errors,
    give_to_owner,
    make_folder,
    read_only_mode,
    sync_descriptor,
    sync_folder,
)
from parfocal.registry.errors import BlobMissing
from parfocal.registry.values import PREFIX, Readable, digest_of_file, hex_of

_HEX = re.compile(r"[0-9a-f]{64}")


class FolderBlobs:
    """Blobs as read-only files `home/blobs/sha256/ab/<hex>`, beside `home/journal.jsonl`.

    A blob appears whole, by a rename from `home/staging`, or not at all. One whose bytes are not its own is
    moved to `home/quarantine`, where it can be looked at and harms nobody.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._root = home / "blobs" / "sha256"
        self._quarantine = home / "quarantine"
        self._staging = Staging(home / "staging")
        self._journal = FileJournal(home / "journal.jsonl")

    @property
    def journal(self) -> FileJournal:
        """The index's journal, kept beside the blobs."""
        return self._journal

    def size(self, digest: str) -> int | None:
        """The size of a blob, or None when it is not there; raises StorageError."""
        with disk_errors(self._root):
            try:
                return self.path(digest).stat().st_size
            except FileNotFoundError:
                return None

    def open(self, digest: str) -> BinaryIO:
        """Opens a blob for reading, unverified; raises BlobMissing or StorageError."""
        with disk_errors(self._root):
            try:
                return self.path(digest).open("rb")
            except FileNotFoundError as error:
                raise BlobMissing(
                    f"blob {digest} is gone from {self._root}; parfocal registry verify names who needs it",
                    digest=digest,
                ) from error

    @contextmanager
    def stage(self) -> Iterator[StagedBlob]:
        """A place for content that may become a blob; raises StorageError.

        Does not make the folder of blobs anew where somebody has removed it.
        """
        with disk_errors(self._root):
            self._home.stat()
            with self._staging.work_folder() as folder, (folder / "blob").open("w+b") as opened:
                yield StagedFile(opened, folder / "blob", self._home, self._place)

    def put(self, source: Readable, advanced: Callable[[int], None] | None = None) -> Blob:
        """Stores the rest of `source`; on StorageError stores nothing.

        Replaces a blob that is there already, which repairs it if its bytes had rotted.
        """
        with disk_errors(self._root):
            make_folder(self._home)
            with self.stage() as staged:
                blob = staged.fill(source, advanced)
                staged.keep()
        return blob

    def _place(self, file: Path, digest: str) -> None:
        final = self.path(digest)
        make_folder(final.parent, self._home)
        file.replace(final)
        sync_folder(final.parent)

    def adopt(self, file: Path, blob: Blob) -> None:
        """Stores a local file whose bytes were verified, by a rename where it is on this disk."""
        with disk_errors(self._root), file.open("rb") as opened:
            final = self.path(blob.digest)
            make_folder(final.parent, self._home)
            os.utime(opened.fileno())  # stored now, however long it took to come
            give_to_owner(opened.fileno(), self._home)
            os.fchmod(opened.fileno(), read_only_mode(self._home))
            sync_descriptor(opened.fileno())
            try:
                file.replace(final)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self.put(opened)
            else:
                sync_folder(final.parent)

    def quarantine(self, digest: str) -> str:
        """Moves a blob out of the way whose bytes are not its own; raises StorageError.

        Once more they are read there: a disk may have failed once, or others repaired the blob meanwhile.
        """
        blob, aside = self.path(digest), self._quarantine / f"{hex_of(digest)}-{secrets.token_hex(4)}"
        with disk_errors(self._root):
            try:
                if digest_of_file(blob) == digest:
                    return ""
                make_folder(self._quarantine, self._home)
                blob.replace(aside)
            except FileNotFoundError:
                return ""
            if digest_of_file(aside) == digest:
                aside.replace(blob)
                return ""
            sync_folder(blob.parent)
        return str(aside)

    def link(self, digest: str, target: Path, to_read: bool = False) -> bool:
        """Hard-links the blob's file to `target`; False if a copy must be made.

        Unless nobody will write to it, only where the kernel keeps this process from writing to the file:
        whoever opens `target` for writing (root may open anything) would change the blob.
        """
        blob = self.path(digest)
        if not to_read and os.access(blob, os.W_OK):
            return False
        try:
            os.link(blob, target, follow_symlinks=False)
        except OSError:  # another disk, no hard links, too many of them, or no blob: the copy will tell
            return False
        return True

    def path(self, digest: str) -> Path:
        """Where a blob is or would be; raises InvalidDigest."""
        name = hex_of(digest)
        return self._root / name[:2] / name

    def moment(self) -> datetime | None:
        """The time by the file system's clock, which may be another machine's; None where it is read-only.

        On a disk of this machine it is this machine's.
        """
        try:
            with self._staging.work_folder() as work:
                (work / "clock").touch()
                return datetime.fromtimestamp((work / "clock").stat().st_mtime, UTC)
        except OSError:
            return None

    def stored(self) -> Iterator[Blob]:
        """Every blob that is there; raises StorageError."""
        with disk_errors(self._root):
            for path in sorted(self._root.glob("[0-9a-f][0-9a-f]/*")):
                if _HEX.fullmatch(path.name):
                    found = path.stat()
                    yield Blob(PREFIX + path.name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def remove(self, digest: str) -> None:
        """Removes a blob if it is there; raises StorageError."""
        with disk_errors(self._root):
            self.path(digest).unlink(missing_ok=True)

    def clean(self) -> None:
        """Removes what killed processes left in the staging folder; raises StorageError."""
        with disk_errors(self._home):
            self._staging.sweep()
