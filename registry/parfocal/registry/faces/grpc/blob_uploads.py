"""Uploads of single files that survive a cut. Knows messages and files on their way, not what they become."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.copies import ArrivingFile, PartialFiles
from parfocal.registry.disk import disk_errors
from parfocal.registry.errors import InvalidUpload
from parfocal.registry.faces.threads import Threads, to_the_end
from parfocal.registry.faces.uploads import Uploads
from parfocal.registry.publishing import fault_of_file
from parfocal.registry.values import AdapterName, FileEntry, hex_of
from parfocal.registry.wire import read_file
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.limits import PIECE_BYTES


class BlobUploads:
    """Files on their way in `folder`, each of one owner; what was cut is kept for `keep_s` seconds.

    All of them together take no more room than uploads may; the oldest leave first.
    """

    def __init__(self, folder: Path, keep_s: float, uploads: Uploads, threads: Threads) -> None:
        self._folder = folder
        self._partial = PartialFiles(folder / "partial", keep_s)
        self._uploads = uploads
        self._threads = threads

    def received(self, entry: FileEntry, owner: str) -> int:
        """How many bytes of a file have come; reads the disk."""
        return min(self._partial.received(_key(entry, owner)), entry.size)

    def sweep(self) -> None:
        """Removes what was left too long ago, and the oldest where there is too much; reads the disk."""
        self._partial.sweep(self._uploads.staged_bytes.most)

    @contextlib.asynccontextmanager
    async def one(
        self, requests: AsyncIterator[pb.UploadBlobRequest], owner: str
    ) -> AsyncIterator[tuple[FileEntry, Path]]:
        """Yields a file that has come, verified, with what it is; it is gone when the scope ends.

        Raises InvalidUpload, OffsetOutOfRange, BlobCorrupt, RegistryBusy where the file is on its way
        already, UploadTooSlow, TooManyUploads, UploadsFull or StorageError.
        """
        with disk_errors(self._folder), self._uploads.one() as staged:
            async with (
                contextlib.aclosing(_parts(requests)) as parts,
                contextlib.aclosing(self._uploads.paced(parts, _bytes_in)) as paced,
            ):
                header = await _header(paced)
                entry = _entry(header)
                staged.announce(entry.size - header.offset)
                async with self._arriving(entry, owner, header.offset) as file:
                    async with self._writing(file) as write:
                        received = file.received
                        async for part in paced:
                            _check_piece(part, received, entry)
                            received += len(part.data)
                            staged.take(len(part.data))
                            await write(part.data)
                    if file.received < entry.size:
                        raise InvalidUpload(
                            f"the upload ended at byte {file.received} of {entry.size} of {entry.path}",
                            field="data",
                            received=str(file.received),
                        )
                    await to_the_end(self._threads(file.check))
                    yield entry, file.path
                    await to_the_end(self._threads(file.remove))

    @contextlib.asynccontextmanager
    async def _writing(self, file: ArrivingFile) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
        """Yields what writes a piece while the next one comes; all are written when the scope ends."""
        under_way: list[asyncio.Future[None]] = []

        async def write(data: bytes) -> None:
            await written()
            under_way.append(asyncio.ensure_future(self._threads(file.write, data)))

        async def written() -> None:
            while under_way:
                await to_the_end(under_way.pop())

        try:
            yield write
        finally:
            await written()

    @contextlib.asynccontextmanager
    async def _arriving(
        self, entry: FileEntry, owner: str, offset: int
    ) -> AsyncGenerator[ArrivingFile, None]:
        scope = self._partial.arriving(_key(entry, owner), entry, offset)
        with contextlib.ExitStack() as stack:
            try:
                yield await to_the_end(self._threads(stack.enter_context, scope))
            finally:
                await to_the_end(self._threads(stack.close))


def _key(entry: FileEntry, owner: str) -> str:
    """The name of a file on its way: nobody goes on where another left off."""
    return f"{hex_of(entry.digest)}-{hashlib.sha256(owner.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class _Part:
    """A message with its data, which each look at the message would copy."""

    message: pb.UploadBlobRequest
    data: bytes


async def _parts(requests: AsyncIterator[pb.UploadBlobRequest]) -> AsyncGenerator[_Part, None]:
    async for request in requests:
        yield _Part(request, request.data)


async def _header(parts: AsyncIterator[_Part]) -> pb.UploadBlobHeader:
    async for part in parts:
        if part.message.HasField("header"):
            return part.message.header
        break
    raise InvalidUpload("an upload begins with its header", field="header")


def _entry(header: pb.UploadBlobHeader) -> FileEntry:
    AdapterName.parse(header.name)
    entry = read_file(header.file)
    fault = fault_of_file(entry)
    if fault is not None:
        raise InvalidUpload(f"the header announces {fault}", field="header.file")
    if not 0 <= header.offset <= entry.size:
        raise InvalidUpload(
            f"offset is {header.offset}; {entry.path} has bytes 0 to {entry.size}", field="header.offset"
        )
    return entry


def _check_piece(part: _Part, received: int, entry: FileEntry) -> None:
    if not part.message.HasField("data"):
        raise InvalidUpload("after the header only data may follow", field="part")
    if not 0 < len(part.data) <= PIECE_BYTES.most:
        raise InvalidUpload(
            f"a piece of {entry.path} has {len(part.data)} bytes; send 1 to {PIECE_BYTES.most} at a time",
            field="data",
        )
    if received + len(part.data) > entry.size:
        raise InvalidUpload(f"{entry.path} is longer than the {entry.size} bytes announced", field="data")


def _bytes_in(part: _Part) -> int:
    return len(part.data)
