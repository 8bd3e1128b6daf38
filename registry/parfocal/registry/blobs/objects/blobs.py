"""Blobs as objects. Knows no adapters; the manifest says what a blob means."""

import logging
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.blobs.objects.bucket import Bucket
from parfocal.registry.blobs.objects.journal import ObjectJournal
from parfocal.registry.blobs.store import Blob, StagedBlob
from parfocal.registry.disk import Staging, disk_errors
from parfocal.registry.errors import BlobCorrupt, BlobMissing, RegistryForbidden
from parfocal.registry.values import PREFIX, Readable, copy_hashing, digest_of_file, hex_of

log = logging.getLogger(__name__)
_HEX = re.compile(r"[0-9a-f]{64}")
_BLOBS, _UPLOADS = "blobs/sha256", "uploads"
# Nobody uploads one object for so long; what is older was left by a process that is gone.
_UPLOAD = timedelta(days=1)


class ObjectBlobs:
    """Blobs as objects `blobs/sha256/ab/<hex>` of `bucket`, beside `journal/`.

    What passes is held in `staging`, a folder of this machine: it is hashed before it is uploaded, and
    verified before anybody reads it. A blob whose bytes are not its own, read twice, is moved to
    `quarantine/`, where it can be looked at and harms nobody.
    """

    def __init__(self, bucket: Bucket, staging: Path) -> None:
        self._bucket = bucket
        self._staging = Staging(staging)
        self._journal = ObjectJournal(bucket)

    @property
    def journal(self) -> ObjectJournal:
        """The index's journal, kept beside the blobs."""
        return self._journal

    def size(self, digest: str) -> int | None:
        """The size of a blob, or None when it is not there; raises StorageError."""
        try:
            return self._bucket.size(_key(digest))
        except FileNotFoundError:
            return None

    def open(self, digest: str) -> BinaryIO:
        """Opens a blob for reading, verified; raises BlobMissing, BlobCorrupt or StorageError."""
        key = _key(digest)
        with disk_errors(self._bucket.shown), self._staging.work_folder() as work:
            for _ in range(2):  # what rotted on its way is whole the second time
                try:
                    self._bucket.fetch(key, work / "blob")
                except FileNotFoundError as error:
                    raise BlobMissing(
                        f"blob {digest} is gone from {self._bucket.shown}; parfocal registry verify names "
                        "who needs it",
                        digest=digest,
                    ) from error
                found = digest_of_file(work / "blob")
                if found == digest:
                    return (work / "blob").open("rb")  # outlives its name
                log.warning("store %s: %s was read with digest %s", self._bucket.shown, key, found)
            raise self._quarantined(digest, found, work / "moved")

    @contextmanager
    def stage(self) -> Iterator[StagedBlob]:
        """A place for content that may become a blob; raises StorageError."""
        with disk_errors(self._bucket.shown), self._staging.work_folder() as work:
            yield StagedObject(work / "blob", self._bucket)

    def put(self, source: Readable, advanced: Callable[[int], None] | None = None) -> Blob:
        """Stores the rest of `source`; on StorageError stores nothing.

        Replaces a blob that is there already, which repairs it if its bytes had rotted.
        """
        with self.stage() as staged:
            blob = staged.fill(source, advanced)
            staged.keep()
        return blob

    def adopt(self, file: Path, blob: Blob) -> None:
        """Stores a local file whose bytes were verified; raises StorageError."""
        with disk_errors(self._bucket.shown):
            self._bucket.store(file, _key(blob.digest))

    def quarantine(self, digest: str) -> str:
        """Moves a blob out of the way whose bytes are not its own; raises StorageError."""
        try:
            self.open(digest).close()
        except BlobCorrupt as error:
            return error.metadata["quarantine"]
        except BlobMissing:
            pass
        return ""

    def link(self, digest: str, target: Path, to_read: bool = False) -> bool:
        """False: an object cannot be linked to."""
        return False

    def moment(self) -> datetime | None:
        """What time it is by the store's clock: that of an object just written; None where none may be.

        Raises StorageError.
        """
        name = f"clock-{secrets.token_hex(8)}"
        try:
            self._bucket.write(f"{_UPLOADS}/{name}", b"")
        except RegistryForbidden:
            return None
        written = [each.written_at for each in self._bucket.below(_UPLOADS) if each.key.endswith(name)]
        self._bucket.remove(f"{_UPLOADS}/{name}")
        return written[0] if written else None

    def stored(self) -> Iterator[Blob]:
        """Every blob that is there; raises StorageError."""
        for each in self._bucket.below(_BLOBS):
            name = each.key.rpartition("/")[2]
            if _HEX.fullmatch(name):
                yield Blob(PREFIX + name, each.size, each.written_at)

    def remove(self, digest: str) -> None:
        """Removes a blob if it is there; raises StorageError."""
        self._bucket.remove(_key(digest))

    def clean(self) -> None:
        """Removes what killed processes left: of this machine at once, of others when it is a day old."""
        with disk_errors(self._bucket.shown):
            self._staging.sweep()
        old = datetime.now(UTC) - _UPLOAD
        for each in self._bucket.below(_UPLOADS):
            if each.written_at is not None and each.written_at < old:
                self._bucket.remove(each.key)

    def _quarantined(self, digest: str, found: str, scratch: Path) -> BlobCorrupt:
        """The error for a blob that was moved out of the way; moved back if others repaired it meanwhile."""
        place = f"quarantine/{hex_of(digest)}-{secrets.token_hex(4)}"
        try:
            self._bucket.move(_key(digest), place)
            self._bucket.fetch(place, scratch)
        except FileNotFoundError:
            place = "quarantine"  # where another process was faster
        else:
            if digest_of_file(scratch) == digest:
                self._bucket.move(place, _key(digest))
        return BlobCorrupt(
            f"blob {digest} in {self._bucket.shown} holds bytes with digest {found}; it was moved to {place} "
            "there: publish the adapter again",
            digest=digest,
            actual=found,
            quarantine=place,
        )


class StagedObject:
    """The file `path` of this machine, which is uploaded when its digest is known and it is kept."""

    def __init__(self, path: Path, bucket: Bucket) -> None:
        self._path = path
        self._bucket = bucket
        self._digest = ""

    def fill(self, source: Readable, advanced: Callable[[int], None] | None = None) -> Blob:
        """Writes the rest of `source`; raises OSError."""
        with self._path.open("wb") as target:
            copied = copy_hashing(source, target, advanced)
        self._digest = copied.digest
        return Blob(copied.digest, copied.size)

    def open(self) -> BinaryIO:
        """Opens what was written, for reading; raises OSError."""
        return self._path.open("rb")

    def keep(self) -> None:
        """Uploads it; raises StorageError."""
        self._bucket.store(self._path, _key(self._digest))


def _key(digest: str) -> str:
    name = hex_of(digest)
    return f"{_BLOBS}/{name[:2]}/{name}"
