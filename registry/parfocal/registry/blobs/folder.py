"""Files by the sha256 of their bytes. Knows no adapters; what a blob means is the manifest's business."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from parfocal.registry.blobs.durable import make_folder, sync_descriptor, sync_folder
from parfocal.registry.blobs.staging import Staging
from parfocal.registry.errors import BlobMissing
from parfocal.registry.values import PREFIX, copy_hashing, hex_of

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """The digest and the size in bytes of stored content."""

    digest: str
    size: int


class BlobStore(Protocol):
    """Keeps content under its digest."""

    def size(self, digest: str) -> int | None:
        """Returns the size of a blob, or None when it is not there."""
        ...

    def open(self, digest: str) -> BinaryIO:
        """Opens a blob for reading, unverified; raises BlobMissing."""
        ...

    def put(self, source: BinaryIO, advanced: Callable[[int], None] | None = None) -> Blob:
        """Keeps what is left of `source`; when it returns, the blob survives a power cut."""
        ...


class FolderBlobs:
    """Blobs as read-only files `sha256/ab/<hex>`; a blob appears whole, by a rename, or not at all."""

    def __init__(self, root: Path, staging: Staging) -> None:
        self._root = root / "sha256"
        self._staging = staging

    def size(self, digest: str) -> int | None:
        """Returns the size of a blob, or None when it is not there; raises OSError."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def open(self, digest: str) -> BinaryIO:
        """Opens a blob for reading, unverified; raises BlobMissing or OSError."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError as error:
            raise BlobMissing(f"blob {digest} is gone from {self._root}", digest=digest) from error

    def put(self, source: BinaryIO, advanced: Callable[[int], None] | None = None) -> Blob:
        """Keeps what is left of `source`; raises OSError and then keeps nothing.

        A blob that is there already is replaced, which heals it if its bytes had rotted.
        """
        with self._staging.work_folder() as folder:
            temporary = folder / "blob"
            with temporary.open("wb") as target:
                copied = copy_hashing(source, target, advanced)
                target.flush()
                os.fchmod(target.fileno(), 0o444)
                sync_descriptor(target.fileno())
            final = self.path(copied.digest)
            make_folder(final.parent)
            temporary.replace(final)
            sync_folder(final.parent)
        return Blob(copied.digest, copied.size)

    def path(self, digest: str) -> Path:
        """Returns where a blob is or would be; raises InvalidDigest."""
        name = hex_of(digest)
        return self._root / name[:2] / name

    def stored(self) -> Iterator[Blob]:
        """Yields every blob that is there; raises OSError."""
        for path in sorted(self._root.glob("[0-9a-f][0-9a-f]/*")):
            if _HEX.fullmatch(path.name):
                yield Blob(PREFIX + path.name, path.stat().st_size)

    def remove(self, digest: str) -> None:
        """Removes a blob if it is there; raises OSError."""
        self.path(digest).unlink(missing_ok=True)
