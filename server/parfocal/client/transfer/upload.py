"""An adapter's files as the messages that publish them: a header, then the files in pieces."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Self

from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.limits import PIECE_BYTES

# Told the bytes that are done and those that there are.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Source:
    """A file to send: its name in the adapter, what is announced of it, and where its bytes come from."""

    path: str
    size: int
    digest: str
    open: Callable[[], BinaryIO]

    @classmethod
    def of_file(cls, file: Path) -> Self:
        """A file under its own name; raises OSError."""
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return cls(file.name, file.stat().st_size, f"sha256:{digest}", lambda: file.open("rb"))

    @classmethod
    def of_bytes(cls, path: str, data: bytes) -> Self:
        """A file of these bytes."""
        return cls(path, len(data), f"sha256:{hashlib.sha256(data).hexdigest()}", lambda: BytesIO(data))


def announced_header(header: pb.PublishHeader, sources: Sequence[Source]) -> pb.PublishHeader:
    """The header with the files announced in it."""
    announced = pb.PublishHeader()
    announced.CopyFrom(header)
    announced.files.extend(
        adapter_pb2.FileEntry(path=each.path, size=each.size, digest=each.digest) for each in sources
    )
    return announced


def upload_parts(
    header: pb.PublishHeader, sources: Sequence[Source], progress: Progress | None = None
) -> Iterator[pb.PublishVersionRequest]:
    """Yields the header, with the files announced in it, and then their pieces; raises OSError."""
    yield pb.PublishVersionRequest(header=announced_header(header, sources))
    total, sent = sum(each.size for each in sources), 0
    for source in sources:
        with source.open() as file:
            while data := file.read(PIECE_BYTES.most):
                yield pb.PublishVersionRequest(chunk=pb.FileChunk(path=source.path, data=data))
                sent += len(data)
                if progress is not None:
                    progress(sent, total)
