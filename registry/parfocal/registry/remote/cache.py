"""The client's local copies of a remote registry's versions. Everything is verified when it is read."""

import base64
import binascii
import stat
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from parfocal.registry.copies import ArrivingFile, LocalCopies, PartialFiles
from parfocal.registry.disk import Staging
from parfocal.registry.publishing import fault_of_files
from parfocal.registry.values import (
    MAX_MANIFEST_BYTES,
    MAX_SIGNATURE_BYTES,
    MAX_SIGNATURES,
    FileEntry,
    Manifest,
    digest_of,
    hex_of,
)

# Whoever comes back later than that begins anew.
_PARTIAL_S = 7 * 86400.0


class RemoteCache:
    """Manifests and adapter folders by digest, under `home`."""

    def __init__(self, home: Path) -> None:
        self._manifests = home / "manifests"
        self._bundles = home / "signatures"
        self._folders = LocalCopies(home)
        self._folders.staging.sweep()
        self._partial = PartialFiles(home / "partial", _PARTIAL_S)
        self._partial.sweep()

    @property
    def staging(self) -> Staging:
        """Work folders on the disk of the cache."""
        return self._folders.staging

    def folder(self, digest: str) -> Path | None:
        """The folder of a version whose manifest and every byte are here, or None; raises OSError."""
        manifest = self.manifest(digest)
        if manifest is None or self._folders.missing(digest, manifest):
            return None
        return self._folders.path(digest)

    def keep_manifest(self, manifest: Manifest) -> None:
        """Keeps a manifest; raises OSError."""
        self._manifests.mkdir(parents=True, exist_ok=True)
        data = manifest.to_bytes()
        with self._folders.staging.work_folder() as work:
            temporary = work / "manifest"
            temporary.write_bytes(data)
            temporary.replace(self._manifests / hex_of(digest_of(data)))

    def keep_bundles(self, digest: str, bundles: Sequence[bytes]) -> None:
        """Keeps the signatures of a version, in place of others; raises OSError."""
        self._bundles.mkdir(parents=True, exist_ok=True)
        with self._folders.staging.work_folder() as work:
            temporary = work / "signatures"
            temporary.write_bytes(b"".join(base64.b64encode(bundle) + b"\n" for bundle in bundles))
            temporary.replace(self._bundles / hex_of(digest))

    def bundles(self, digest: str) -> tuple[bytes, ...]:
        """The signatures of a version that were kept, whatever they are worth; raises OSError.

        A file that is not as it was written holds none.
        """
        try:
            with (self._bundles / hex_of(digest)).open("rb") as file:
                held = file.read(2 * MAX_SIGNATURES * MAX_SIGNATURE_BYTES)
            return tuple(base64.b64decode(line, validate=True) for line in held.splitlines())
        except (FileNotFoundError, binascii.Error):
            return ()

    def missing(self, digest: str, manifest: Manifest) -> tuple[FileEntry, ...]:
        """The files of a version that are absent or wrong here; raises OSError."""
        return self._folders.missing(digest, manifest)

    def received(self, entry: FileEntry) -> int:
        """How many bytes of a file an earlier download has left; raises OSError."""
        return min(self._partial.received(hex_of(entry.digest)), entry.size)

    def arriving(self, entry: FileEntry, offset: int) -> AbstractContextManager[ArrivingFile]:
        """A file that goes on at `offset`, and is kept when it is cut; see PartialFiles."""
        return self._partial.arriving(hex_of(entry.digest), entry, offset)

    def take(self, digest: str, entry: FileEntry, file: Path) -> None:
        """Keeps a file of a version whose bytes were verified; raises OSError."""
        self._folders.take(digest, entry, file)

    def manifest(self, digest: str) -> Manifest | None:
        """The manifest of a version if it is here, intact and of an adapter; raises OSError."""
        path = self._manifests / hex_of(digest)
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_MANIFEST_BYTES:
            return None
        data = path.read_bytes()
        if digest_of(data) != digest:
            return None
        manifest = Manifest.from_bytes(data)
        return manifest if fault_of_files(manifest.files) is None else None
