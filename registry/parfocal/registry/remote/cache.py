"""The client's local copies of a remote registry's versions. Everything is verified when it is read."""

import stat
from collections.abc import Iterable
from pathlib import Path

from parfocal.registry.copies import LocalCopies
from parfocal.registry.publishing import fault_of_files
from parfocal.registry.values import MAX_MANIFEST_BYTES, FileEntry, Manifest, digest_of, hex_of


class RemoteCache:
    """Manifests and adapter folders by digest, under `home`."""

    def __init__(self, home: Path) -> None:
        self._manifests = home / "manifests"
        self._folders = LocalCopies(home)
        self._folders.staging.sweep()

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

    def keep_file(self, digest: str, entry: FileEntry, chunks: Iterable[bytes]) -> None:
        """Keeps a file of a version once its bytes are verified; raises BlobCorrupt or OSError."""
        self._folders.place(digest, entry, chunks)

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
