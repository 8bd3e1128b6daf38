"""From blobs to a verified local copy of a version, which nobody collects meanwhile."""

import logging
import secrets
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.blobs import BlobStore
from parfocal.registry.copies import LocalCopies
from parfocal.registry.disk import disk_errors
from parfocal.registry.errors import (
    BlobCorrupt,
    BlobMissing,
    IndexCorrupt,
    RegistryForbidden,
    RegistryFull,
    RegistryReadOnly,
    StorageError,
    VersionNotFound,
)
from parfocal.registry.index import Index
from parfocal.registry.publishing import fault_of_files
from parfocal.registry.values import FileEntry, Version, chunks_of

log = logging.getLogger(__name__)

# Who copies a version is done by then, or was killed.
_READING_S = 3600.0


class Reading:
    """Copies versions of `index` out of `blobs`; together they are the registry at `location`."""

    def __init__(self, location: str, index: Index, blobs: BlobStore) -> None:
        self._location = location
        self._index = index
        self._blobs = blobs
        self._copying: weakref.WeakValueDictionary[str, threading.Lock] = weakref.WeakValueDictionary()

    def copied(self, version: Version, places: Sequence[LocalCopies]) -> Path:
        """A local folder with the version's files, every byte verified now, in the first place that has room.

        A blob whose bytes are not its own is moved out of the way. Raises DataLoss, VersionNotFound or
        StorageError.
        """
        fault = fault_of_files(version.manifest.files)
        if fault is not None:
            raise IndexCorrupt(
                f"registry {self._location} lists files of {version} that no adapter has ({fault}); none of "
                "them was written: no Parfocal has published that",
                digest=version.digest,
            )
        for copies in places[:-1]:
            try:
                return self._copied(version, copies)
            except (RegistryFull, RegistryForbidden, RegistryReadOnly) as error:
                log.info("copying %s elsewhere: %s", version, error)
        return self._copied(version, places[-1])

    def _copied(self, version: Version, copies: LocalCopies) -> Path:
        with disk_errors(copies.home):
            if copies.missing(version.digest, version.manifest):
                # Many may ask for a new version at once; each would fetch it whole, from a bucket too.
                with self._copying.setdefault(version.digest, threading.Lock()):
                    self._copy_missing(version, copies)
            return copies.path(version.digest)

    def _copy_missing(self, version: Version, copies: LocalCopies) -> None:
        missing = copies.missing(version.digest, version.manifest)
        with self._leased_to_reader(version.digest):
            for entry in missing:
                try:
                    self._copy(entry, version.digest, copies)
                except BlobCorrupt as error:
                    raise self._quarantined(entry, error) from error

    def _copy(self, entry: FileEntry, digest: str, copies: LocalCopies) -> None:
        if not copies.link(digest, entry, partial(self._blobs.link, entry.digest)):
            with self._opened(entry, digest) as blob:
                copies.place(digest, entry, chunks_of(blob))

    @contextmanager
    def _leased_to_reader(self, digest: str) -> Iterator[None]:
        """Keeps what is being read from collection, though the version be deleted meanwhile."""
        reader = f"reader-{secrets.token_hex(8)}"
        with suppress(StorageError):  # who may only read, or has no room, reads without
            self._index.lease(reader, [digest], _READING_S)
        try:
            yield
        finally:
            with suppress(StorageError):
                self._index.end_lease(reader, [digest])

    def _quarantined(self, entry: FileEntry, error: BlobCorrupt) -> BlobCorrupt:
        """The error for a blob that was moved out of the way, where it could be."""
        place = error.metadata.get("quarantine", "")
        if not place:
            with suppress(StorageError):
                place = self._blobs.quarantine(entry.digest)
        if not place or "quarantine" in error.metadata:
            return error
        told = {**error.metadata, "digest": entry.digest, "quarantine": place}
        return BlobCorrupt(f"{error}; blob {entry.digest} was moved to {place}", **told)

    def _opened(self, entry: FileEntry, digest: str) -> BinaryIO:
        """Opens a file of a version; a missing file is a loss only if the version is live."""
        try:
            return self._blobs.open(entry.digest)
        except BlobMissing as error:
            if self._index.is_live(digest):
                raise
            raise VersionNotFound(f"{digest} was deleted and its files are gone", digest=digest) from error
