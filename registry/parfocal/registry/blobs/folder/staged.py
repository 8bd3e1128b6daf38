"""A blob that is being written into a folder. Knows neither its digest beforehand nor what it means."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader, UnsupportedOperation
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.blobs.store import Blob
from parfocal.registry.disk import SyncBehind, give_to_owner, read_only_mode, sync_descriptor
from parfocal.registry.values import Hasher, Readable


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many bytes at a time, at most.

    A `window` is written, and then read back from memory and hashed while the disk writes it: to hash each
    piece at once would be slower, as two threads that move memory get into each other's way and the disk
    idles. After each piece that is `hashed` a thread waits for Python, up to 5 ms where another one computes.
    Into larger pieces than are `written` Linux puts larger pages, for which a virtual machine may have to ask
    its host.
    """

    window: int = 64 << 20
    hashed: int = 4 << 20
    written: int = 1 << 20


_SIZES = Sizes()
_CANNOT_SEND = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EOVERFLOW})

Place = Callable[[Path, str], None]


class StagedFile:
    """The empty file `opened` at `path`, for the users of `home`; `place` gives it the name of its digest."""

    def __init__(self, opened: BinaryIO, path: Path, home: Path, place: Place, sizes: Sizes = _SIZES) -> None:
        self._opened = opened
        self._sizes = sizes
        self._path = path
        self._home = home
        self._place = place
        self._digest = ""

    def fill(self, source: Readable, advanced: Callable[[int], None] | None = None) -> Blob:
        """Writes the rest of `source`, which is on the disk when it returns; raises OSError."""
        hasher, descriptor = Hasher(), self._opened.fileno()
        with SyncBehind(descriptor) as syncing:
            while written := _copied(source, self._opened, self._sizes):
                if written >= self._sizes.hashed:  # what is smaller the last sync takes along
                    syncing.begin()
                for piece in _pieces(descriptor, hasher.size, written, self._sizes.hashed):
                    hasher.update(piece)
                    if advanced is not None:
                        advanced(len(piece))
            syncing.wait()
        give_to_owner(descriptor, self._home)
        os.fchmod(descriptor, read_only_mode(self._home))
        sync_descriptor(descriptor)
        self._digest = hasher.digest
        return Blob(hasher.digest, hasher.size)

    def open(self) -> BinaryIO:
        """Opens what was written, for reading."""
        return self._path.open("rb")

    def keep(self) -> None:
        """Makes a blob of it; raises OSError."""
        self._place(self._path, self._digest)


def _copied(source: Readable, target: BinaryIO, sizes: Sizes) -> int:
    """Copies the next window and returns how many bytes that were."""
    written = _sent(source, target, sizes.window)
    while written < sizes.window and (piece := source.read(min(sizes.written, sizes.window - written))):
        target.write(piece)
        written += len(piece)
    target.flush()
    return written


def _sent(source: Readable, target: BinaryIO, most: int) -> int:
    """Has the system copy as much of `most` bytes as it can, and returns how many bytes that were."""
    if sys.platform != "linux" or not isinstance(source, BufferedReader):
        return 0
    try:
        descriptor = source.fileno()
    except UnsupportedOperation:
        return 0
    begin, sent = source.tell(), 0
    while sent < most:
        try:
            count = os.sendfile(target.fileno(), descriptor, begin + sent, most - sent)
        except OSError as error:
            if error.errno not in _CANNOT_SEND:
                raise
            break
        if not count:
            break
        sent += count
    source.seek(begin + sent)
    return sent


def _pieces(descriptor: int, begin: int, count: int, most: int) -> Iterator[memoryview]:
    """What was written, each piece in the place of the one before."""
    end, room = begin + count, memoryview(bytearray(min(most, count)))
    while begin < end:
        got = os.preadv(descriptor, [room[: end - begin]], begin)
        if not got:
            raise OSError(errno.EIO, "what was written a moment ago is not there any more")
        begin += got
        yield room[:got]
