"""Files that are uploaded one by one before they are published: which must come, and where they are."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from parfocal.registry.blobs import Blob, BlobStore
from parfocal.registry.disk import FileState
from parfocal.registry.errors import (
    AdapterNotFound,
    BlobCorrupt,
    BlobMissing,
    BlobsNotUploaded,
    InvalidUpload,
)
from parfocal.registry.index import Index
from parfocal.registry.publishing.ready import Held
from parfocal.registry.publishing.upload import fault_of_files
from parfocal.registry.values import FileEntry, Recent, copy_hashing, digest_of, digest_of_file

_NEWEST = 20
_CAME_BYTES, _CAME_EACH = 1 << 20, 1 << 8
MayHave = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The files of one adapter: `whole` came with the order to publish, `owner` sent the rest before.

    `owner` is who uploads: what one has uploaded another cannot publish, nor find out about.
    """

    files: tuple[FileEntry, ...]
    owner: str
    whole: Mapping[str, bytes] = field(default_factory=dict)


class Receiving:
    """Takes files into `blobs`, under leases of `index` until somebody has published them."""

    def __init__(self, index: Index, blobs: BlobStore) -> None:
        self._index = index
        self._blobs = blobs
        # By their digests, the files that came and have become blobs, as they were then.
        self._came: Recent[str, FileState] = Recent(_CAME_BYTES)

    def missing(
        self, files: Sequence[FileEntry], owner: str, seconds: float, may_have: MayHave
    ) -> tuple[FileEntry, ...]:
        """Those of `files` that must be sent; the others are kept for `owner` for so long.

        What is stored and neither leased by `owner` nor such as `may_have` allows by its digest counts as
        missing: to know a digest is no right to the bytes. Raises StorageError.
        """
        with self._index.publishing():
            own = self._index.leased(owner)
            there = {
                file.digest
                for file in files
                if (file.digest in own or may_have(file.digest))
                and self._blobs.size(file.digest) == file.size
            }
            if there:
                self._index.lease(owner, there, seconds)
        return tuple(file for file in files if file.digest not in there)

    def receive(self, file: Path, entry: FileEntry, owner: str, seconds: float) -> None:
        """Stores a local file whose bytes were verified to be the entry's, and keeps it so long for `owner`.

        The file may be moved. Raises StorageError.
        """
        with self._index.publishing():
            with file.open("rb") as opened:
                self._blobs.adopt(file, Blob(entry.digest, entry.size))
                self._came.put(entry.digest, FileState.of(opened), _CAME_EACH)
            self._index.lease(owner, [entry.digest], seconds)

    def gather(self, uploaded: Uploaded, name: str, folder: Path) -> Held:
        """Puts the files into an empty folder, every byte verified; returns those that are blobs.

        What this process verified when it came, and nobody has written to since, is not read again.

        What versions of `name` have need not be leased: who asks again where an answer was lost gets it.
        Raises InvalidUpload, BlobCorrupt, BlobsNotUploaded with the names of those that must be sent, and
        OSError.
        """
        fault = fault_of_files(uploaded.files)
        if fault is not None:
            raise InvalidUpload(f"the header announces {fault}", field="header.files")
        blobs = [entry for entry in uploaded.files if entry.path not in uploaded.whole]
        own = self._index.leased(uploaded.owner)
        absent = [
            entry
            for entry in blobs
            if not self._may_be_published(entry, name, own) or not self._fetched(entry, folder / entry.path)
        ]
        if absent:
            raise _not_uploaded(absent)
        for entry in uploaded.files:
            if entry.path in uploaded.whole:
                _write(entry, uploaded.whole[entry.path], folder / entry.path)
        return {entry.path: entry for entry in blobs}

    def forget(self, owner: str, entries: Collection[FileEntry]) -> None:
        """Ends the leases of what was published."""
        self._index.end_lease(owner, [entry.digest for entry in entries])

    def _may_be_published(self, entry: FileEntry, name: str, own: Collection[str]) -> bool:
        return entry.digest in own or entry.digest in self._files_of(name)

    def _files_of(self, name: str) -> set[str]:
        """The digests of the files of an adapter's newest versions."""
        try:
            versions = self._index.versions(name, _NEWEST, "").items
        except AdapterNotFound:
            return set()
        return {file.digest for version in versions if not version.fault for file in version.manifest.files}

    def _fetched(self, entry: FileEntry, target: Path) -> bool:
        """Puts a blob into a folder; False where it is gone, or rotten and out of the way from now on."""
        try:
            if self._blobs.link(entry.digest, target, to_read=True):
                if self._came.get(entry.digest) == FileState.at(target):
                    return True
                digest = digest_of_file(target)
            else:
                with self._blobs.open(entry.digest) as source, target.open("wb") as file:
                    digest = copy_hashing(source, file).digest
        except (BlobMissing, BlobCorrupt):
            return False
        if digest != entry.digest:
            self._blobs.quarantine(entry.digest)
        return digest == entry.digest


def _write(entry: FileEntry, data: bytes, target: Path) -> None:
    if (len(data), digest_of(data)) != (entry.size, entry.digest):
        raise BlobCorrupt(
            f"{entry.path} should be {entry.size} bytes with digest {entry.digest}, but {len(data)} bytes "
            f"with digest {digest_of(data)} came; send it again",
            file=entry.path,
            expected=entry.digest,
            actual=digest_of(data),
        )
    target.write_bytes(data)


def _not_uploaded(absent: Sequence[FileEntry]) -> BlobsNotUploaded:
    names = ", ".join(entry.path for entry in absent)
    return BlobsNotUploaded(
        f"{names} must be uploaded before it is published, or again if that was long ago; nothing was "
        "published: ask which bytes are missing, and send them",
        field="header.files",
        files=names,
    )
