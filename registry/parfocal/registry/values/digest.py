"""Digests, the identity of every byte that is kept: `sha256:<hex>`. Does not know where bytes are stored."""

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from parfocal.registry.errors import InvalidDigest
from parfocal.v1.limits import PIECE_BYTES

PREFIX = "sha256:"
_CHUNK_BYTES = PIECE_BYTES.most

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def parse_digest(text: str) -> str:
    """`text`, if it is a digest; raises InvalidDigest."""
    if not _DIGEST.fullmatch(text):
        raise InvalidDigest(
            f"{text[:100]!a} is not a digest; write sha256: and 64 lower-case hexadecimal digits",
            field="digest",
        )
    return text


def hex_of(digest: str) -> str:
    """The 64 hexadecimal digits of a digest; raises InvalidDigest."""
    return parse_digest(digest).removeprefix(PREFIX)


def digest_of(data: bytes) -> str:
    """The digest of `data`.

    >>> digest_of(b"")
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    """
    return PREFIX + hashlib.sha256(data).hexdigest()


def digest_of_file(path: Path) -> str:
    """The digest of a file's bytes; raises OSError."""
    with path.open("rb") as file:
        return PREFIX + hashlib.file_digest(file, "sha256").hexdigest()


class Hasher:
    """Counts and digests a stream of bytes."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.size = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Adds the next bytes."""
        self._sha256.update(chunk)
        self.size += len(chunk)

    @property
    def digest(self) -> str:
        """The digest of all bytes so far."""
        return PREFIX + self._sha256.hexdigest()


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most `size`, none at the end; raises OSError."""
        ...


def chunks_of(source: Readable) -> Iterator[bytes]:
    """Yields what is left of `source` in pieces of 1 MiB; raises OSError."""
    while chunk := source.read(_CHUNK_BYTES):
        yield chunk


def copy_hashing(source: Readable, target: BinaryIO, advanced: Callable[[int], None] | None = None) -> Hasher:
    """Copies `source` to `target` and returns the hasher of what was copied; raises OSError.

    `advanced` is told the number of bytes after every chunk.
    """
    hasher = Hasher()
    for chunk in chunks_of(source):
        hasher.update(chunk)
        target.write(chunk)
        if advanced is not None:
            advanced(len(chunk))
    return hasher
