"""The uploads under way: how many there may be, how many bytes, how slow. Knows no file and no registry."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from parfocal.registry.errors import TooManyUploads, UploadsFull, UploadTooSlow
from parfocal.registry.faces.limits import ServiceLimits
from parfocal.rpc import Room

Part = TypeVar("Part")

# A line of 256 kbit/s sends three times as much in half a minute.
LEAST_BYTES = 256 << 10
_RETRY_AFTER_S = 5.0


class Uploads:
    """Room for the uploads of one server, which keeps them in `folder`. Of one event loop."""

    def __init__(self, folder: Path, limits: ServiceLimits) -> None:
        self.running = Room(limits.max_uploads, "max_uploads")
        self.staged_bytes = Room(_most_bytes(folder, limits), "max_upload_bytes")
        self.too_slow = 0
        self._idle_s = limits.upload_idle_s

    @contextmanager
    def one(self) -> Iterator["StagedBytes"]:
        """Takes room for an upload while the scope lasts; raises TooManyUploads."""
        if not self.running.take():
            raise TooManyUploads(
                f"{self.running.most} uploads are under way, as many as this server takes; try again in "
                f"{_RETRY_AFTER_S:g} s, or give the server more with --max-uploads",
                retry_after_s=_RETRY_AFTER_S,
                setting="max_uploads",
                limit=str(self.running.most),
            )
        staged = StagedBytes(self.staged_bytes)
        try:
            yield staged
        finally:
            staged.give_back()
            self.running.give_back()

    async def paced(
        self, parts: AsyncIterator[Part], bytes_in: Callable[[Part], int]
    ) -> AsyncGenerator[Part, None]:
        """Yields what arrives; raises UploadTooSlow when too little does. Only waiting for it counts."""
        waited, received = 0.0, 0
        clock = asyncio.get_running_loop().time
        while True:
            begun = clock()
            try:
                async with asyncio.timeout(self._idle_s - waited):
                    part = await anext(parts, None)
            except TimeoutError as error:
                self.too_slow += 1
                raise self._slow(received) from error
            if part is None:
                return
            waited += clock() - begun
            received += bytes_in(part)
            if received >= LEAST_BYTES:
                waited, received = 0.0, 0
            yield part

    def _slow(self, received: int) -> UploadTooSlow:
        return UploadTooSlow(
            f"{received} bytes came in {self._idle_s:g} s; an upload sends {LEAST_BYTES} in that time, or "
            "its rest: send it from nearer, or give uploads more time with the server's --upload-idle-s",
            setting="upload_idle_s",
        )


class StagedBytes:
    """The bytes that one upload has on the disk."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0

    def announce(self, size: int) -> None:
        """Raises UploadsFull when an upload of `size` bytes could never be kept."""
        if size > self._room.most:
            self._room.refused += 1
            raise self._full(f"the upload announces {size} bytes, more than")

    def take(self, count: int) -> None:
        """Takes room for `count` bytes more; raises UploadsFull."""
        if not self._room.take(count):
            raise self._full("the uploads under way have as many bytes as")
        self._taken += count

    def give_back(self) -> None:
        """Frees all that was taken."""
        self._room.give_back(self._taken)
        self._taken = 0

    def _full(self, what: str) -> UploadsFull:
        return UploadsFull(
            f"{what} this server keeps for uploads, {self._room.most}; try again in {_RETRY_AFTER_S:g} s, or "
            "give the server more with --max-upload-bytes",
            retry_after_s=_RETRY_AFTER_S,
            setting="max_upload_bytes",
            limit=str(self._room.most),
        )


def _most_bytes(folder: Path, limits: ServiceLimits) -> int:
    if limits.max_upload_bytes is not None:
        return limits.max_upload_bytes
    there = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
    return shutil.disk_usage(there).free // 2
