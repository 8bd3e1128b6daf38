"""An adapter's files as they come: each one whole, in order, and with the digest that its version names."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from parfocal.client.answers import File
from parfocal.client.errors import Corrupt
from parfocal.client.transfer.upload import Progress
from parfocal.v1 import registry_service_pb2 as pb

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,126}")


def file_pieces(replies: Iterator[pb.DownloadVersionResponse], path: str, size: int) -> Iterator[bytes]:
    """Yields the pieces of one file, little more than its size; fewer when the stream ends.

    An empty piece ends it too: a stream of them would never end.
    """
    received = 0
    while received < size:
        reply = next(replies, None)
        if reply is None or reply.chunk.path != path or not reply.chunk.data:
            return
        received += len(reply.chunk.data)
        yield reply.chunk.data


def receive_files(
    replies: Iterator[pb.DownloadVersionResponse],
    files: Sequence[File],
    folder: Path,
    progress: Progress | None = None,
) -> None:
    """Writes `files` into an empty folder; raises Corrupt unless every byte is as announced, and OSError."""
    total, done = sum(file.size for file in files), 0
    for file in files:
        if not _PLAIN.fullmatch(file.path):
            raise Corrupt(
                f"the registry lists a file called {file.path[:100]!a}, which no adapter has; nothing of it "
                "was kept",
                reason="REPLY_REFUSED",
            )
        sha256 = hashlib.sha256()
        with (folder / file.path).open("xb") as target:
            for piece in file_pieces(replies, file.path, file.size):
                sha256.update(piece)
                target.write(piece)
                done += len(piece)
                if progress is not None:
                    progress(done, total)
            received = target.tell()
        _check(file, received, f"sha256:{sha256.hexdigest()}")


def _check(file: File, size: int, digest: str) -> None:
    if (size, digest) != (file.size, file.digest):
        raise Corrupt(
            f"{file.path} should be {file.size} bytes with digest {file.digest}, but {size} bytes with "
            f"digest {digest} came; try again",
            reason="BLOB_CORRUPT",
            metadata={"file": file.path, "expected": file.digest, "actual": digest},
        )
