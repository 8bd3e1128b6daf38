"""Files that arrive in pieces: what has come survives a cut, and waits for the rest. Knows no wire."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from parfocal.registry.copies.local_copies import check_received
from parfocal.registry.disk import SyncBehind
from parfocal.registry.errors import OffsetOutOfRange, RegistryBusy
from parfocal.registry.values import FileEntry, Hasher

_PIECE_BYTES = 1 << 20
_RETRY_AFTER_S = 1.0
# While more comes, so that who keeps the file in the end need not wait for all of it.
_SYNCED_BYTES = 16 << 20


class PartialFiles:
    """Files that are on their way, in the folder `root`, each under a key that is a file's name.

    One thread of one process writes to a file at a time, which a lock on the file tells: the kernel frees it
    with the process. What nobody has written to for `keep_s` seconds is removed by `sweep`.
    """

    def __init__(self, root: Path, keep_s: float) -> None:
        self._root = root
        self._keep_s = keep_s

    def received(self, key: str) -> int:
        """How many bytes have come; raises OSError."""
        try:
            return (self._root / key).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def arriving(self, key: str, entry: FileEntry, offset: int) -> Iterator["ArrivingFile"]:
        """The file under `key`, to go on at `offset`; what has come stays when the scope ends early.

        Raises RegistryBusy while somebody else writes to it, OffsetOutOfRange where fewer bytes have come,
        and OSError.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        path = self._root / key
        descriptor = _locked(path, entry)
        try:
            with SyncBehind(descriptor) as syncing:
                yield ArrivingFile(path, descriptor, syncing, entry, offset)
        finally:
            os.close(descriptor)

    def sweep(self, most_bytes: float = float("inf")) -> None:
        """Removes what was left too long ago, and the oldest beyond `most_bytes` in all; raises OSError."""
        held = sorted(self._held(), key=lambda each: each[1].st_mtime, reverse=True)
        kept, old = 0, time.time() - self._keep_s
        for path, found in held:
            kept += found.st_size
            if found.st_mtime < old or kept > most_bytes:
                _remove_idle(path)

    def _held(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._root.iterdir() if self._root.is_dir() else ():
            with suppress(FileNotFoundError):
                yield path, path.stat()


class ArrivingFile:
    """A file that goes on at `offset`; raises OffsetOutOfRange beyond what has come, and OSError."""

    def __init__(
        self, path: Path, descriptor: int, syncing: SyncBehind, entry: FileEntry, offset: int
    ) -> None:
        there = os.fstat(descriptor).st_size
        if offset > there:
            raise OffsetOutOfRange(
                f"{entry.path} cannot go on at byte {offset}: {there} have come; go on there",
                field="offset",
                received=str(there),
            )
        self.path = path
        self._descriptor = descriptor
        self._syncing = syncing
        self._unsynced = 0
        self._entry = entry
        self._hasher = Hasher()
        os.ftruncate(descriptor, offset)
        os.lseek(descriptor, 0, os.SEEK_SET)
        while piece := os.read(descriptor, _PIECE_BYTES):
            self._hasher.update(piece)

    @property
    def received(self) -> int:
        """How many bytes have come."""
        return self._hasher.size

    def write(self, data: bytes) -> None:
        """Takes the next bytes; raises OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._hasher.update(data)
        self._unsynced += len(data)
        if self._unsynced >= _SYNCED_BYTES:
            self._syncing.begin()
            self._unsynced = 0

    def check(self) -> None:
        """Raises BlobCorrupt, and keeps nothing, unless all bytes have come and are those of the entry.

        Raises OSError where the disk has not kept them.
        """
        self._syncing.wait()
        try:
            check_received(self._entry, self._hasher)
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Keeps nothing, unless the file was moved to where it belongs; raises OSError."""
        if _is_at(self._descriptor, self.path):
            self.path.unlink()


def _locked(path: Path, entry: FileEntry) -> int:
    """A descriptor of the file at the path, made when absent, that nobody else writes to."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            busy = RegistryBusy(f"{entry.path} is on its way already; wait for it, or try again")
            busy.retry_after_s = _RETRY_AFTER_S
            raise busy from error
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # whoever had it moved it to its place, or removed it


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _remove_idle(path: Path) -> None:
    """Removes a file unless somebody writes to it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(descriptor, path):
            path.unlink()
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
