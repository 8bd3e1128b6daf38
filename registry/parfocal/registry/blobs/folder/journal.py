"""The journal as a file of lines, one event each. Knows no index."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.blobs.journal_lines import event_in, is_whole, line_of
from parfocal.registry.disk import (
    FolderLock,
    disk_errors,
    file_mode,
    give_to_owner,
    sync_descriptor,
    sync_folder,
)
from parfocal.registry.values import Event

# A line takes some 300 bytes, and with the longest names 1,000.
_TAIL_BYTES = 1 << 16
# With the longest rules of a gate and all that was found a line has some 100 KB; what is longer is none.
_LINE_BYTES = 1 << 20


class FileJournal:
    """The journal in the file `path`, made with its first event.

    Each line ends with a checksum of its bytes, so that a torn or rotten one is skipped.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Not the file itself, which anyone who may read it could lock.
        self._lock = FolderLock(path.with_suffix(".lock"))

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def last(self) -> Event | None:
        """The last event that can be read; raises StorageError."""
        with disk_errors(self._path):
            try:
                with self._path.open("rb") as file:
                    return _last(file.fileno())
            except FileNotFoundError:
                return None

    def read(self) -> Iterator[Event]:
        """Every event that can be read, as the lines stand; raises StorageError."""
        return (event for event in self._told() if event is not None)

    def is_intact(self) -> bool:
        """Whether every line can be read and no event is absent; raises StorageError."""
        return is_whole(self._told())

    def extend(self, newer: Callable[[int], Sequence[Event]]) -> None:
        """Adds what `newer` gives, on the disk when it returns; raises StorageError."""
        with disk_errors(self._path), self._held() as descriptor:
            last = _last(descriptor)
            events = newer(0 if last is None else last.sequence)
            if events:
                _append(descriptor, b"".join(map(line_of, events)))
                sync_descriptor(descriptor)

    def set_aside(self) -> str:
        """Renames the file to a free name beside it; raises StorageError."""
        with disk_errors(self._path), self._lock.exclusive():
            if not self._path.exists():
                return ""
            number = 1
            while (aside := self._path.with_name(f"{self._path.name}.set-aside-{number}")).exists():
                number += 1
            self._path.replace(aside)
            sync_folder(self._path.parent)
        return str(aside)

    def _told(self) -> Iterator[Event | None]:
        """The event of each line, None for one that cannot be read."""
        with disk_errors(self._path):
            try:
                file = self._path.open("rb")
            except FileNotFoundError:
                return
            with file:
                yield from map(event_in, _lines(file))

    @contextmanager
    def _held(self) -> Iterator[int]:
        """Opens the file, made when absent, for this process alone."""
        with self._lock.exclusive():
            descriptor = self._opened()
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return os.open(self._path, flags)
        give_to_owner(descriptor, self._path.parent)
        os.fchmod(descriptor, file_mode(self._path.parent))
        sync_folder(self._path.parent)
        return descriptor


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines without their ends, at most so much of each as a line may have; the last may be under way."""
    while line := file.readline(_LINE_BYTES):
        rest = line
        while len(rest) == _LINE_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(_LINE_BYTES)
        yield line.removesuffix(b"\n")
        if not rest.endswith(b"\n"):
            return


def _last(descriptor: int) -> Event | None:
    """The last event, from the end of the file if that suffices, else from all of it."""
    size = os.fstat(descriptor).st_size
    for start in (max(0, size - _TAIL_BYTES), 0):
        lines = os.pread(descriptor, size - start, start).splitlines()
        found = next(filter(None, map(event_in, reversed(lines))), None)
        if found is not None:
            return found
    return None


def _append(descriptor: int, lines: bytes) -> None:
    """Appends whole lines, starting a new one after a torn line; undoes a partial write."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        lines = b"\n" + lines
    try:
        while lines:
            lines = lines[os.write(descriptor, lines) :]
    except OSError:
        os.ftruncate(descriptor, size)
        raise
