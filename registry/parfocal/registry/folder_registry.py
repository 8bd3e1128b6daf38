"""A registry in a folder: blobs, an SQLite index and locks. Several processes may use it at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.blobs import AdapterFolders, FolderBlobs, Staging
from parfocal.registry.errors import BlobMissing, RegistryReadOnly, VersionNotFound
from parfocal.registry.garbage import Garbage, collect
from parfocal.registry.index.sqlite import AliasIndex, VersionIndex
from parfocal.registry.place import Place
from parfocal.registry.publishing import Publication, draft, store
from parfocal.registry.storage_errors import storage_errors
from parfocal.registry.values import (
    AdapterName,
    AdapterSummary,
    Alias,
    AliasMove,
    FileEntry,
    Page,
    Reference,
    Version,
    check_actor,
    check_alias,
    check_expected,
    check_version,
    chunks_of,
    parse_digest,
)


class FolderRegistry:
    """The registry in the folder `path`, which is made when absent unless `create` is false.

    On a medium that cannot be written it serves reads, and puts local copies into `cache`
    (default: ~/.cache/parfocal). Raises NotARegistry, RegistryTooNew or another StorageError.
    """

    def __init__(
        self, path: Path, *, create: bool = True, cache: Path | None = None, blobs: FolderBlobs | None = None
    ) -> None:
        self._path = path
        with storage_errors(path):
            place = Place(path, create)
            self._writable = place.is_writable
            self._lock = place.lock
            self._staging = Staging(path / "staging")
            self._blobs = blobs or FolderBlobs(path / "blobs", self._staging)
            self._folders = AdapterFolders(place.home(cache))
            self._versions = VersionIndex(place.database)
            self._aliases = AliasIndex(place.database)
            if self._writable:
                self._staging.sweep()
            self._folders.staging.sweep()

    def publish(
        self,
        name: str,
        folder: Path,
        publication: Publication,
        progress: Callable[[int, int], None] | None = None,
    ) -> Version:
        """Returns the version that the PEFT folder became; see Registry."""
        adapter = str(AdapterName.parse(name))
        prepared = draft(folder, publication)
        with self._writing(), self._lock.shared():
            return self._versions.add(adapter, store(prepared, self._blobs, progress))

    def resolve(self, reference: str) -> Version:
        """Returns the version that a reference means now; see Registry."""
        wanted = Reference.parse(reference)
        name = str(wanted.name)
        with storage_errors(self._path):
            if wanted.digest is not None:
                return self._versions.with_digest(name, wanted.digest)
            if wanted.version is not None:
                return self._versions.get(name, wanted.version)
            if wanted.alias is not None:
                return self._aliases.target(name, wanted.alias)
            return self._versions.latest(name)

    def find(self, digest: str) -> Version:
        """Returns a version with this digest under any name; see Registry."""
        with storage_errors(self._path):
            return self._versions.find(parse_digest(digest))

    def materialise(self, digest: str) -> Path:
        """Returns a local folder with the version's files, every byte verified now; see Registry."""
        with storage_errors(self._path):
            manifest = self._versions.find(parse_digest(digest)).manifest
            for entry in self._folders.missing(digest, manifest):
                with self._opened(entry, digest) as blob:
                    self._folders.place(digest, entry, chunks_of(blob))
            return self._folders.path(digest)

    def adapters(self, page_size: int = 0, page_token: str = "") -> Page[AdapterSummary]:
        """Returns a page of adapters, sorted by name; see Registry."""
        with storage_errors(self._path):
            return self._versions.summaries(page_size, page_token)

    def versions(self, name: str, page_size: int = 0, page_token: str = "") -> Page[Version]:
        """Returns a page of live versions, the newest first; see Registry."""
        with storage_errors(self._path):
            return self._versions.page(str(AdapterName.parse(name)), page_size, page_token)

    def aliases(self, name: str) -> list[Alias]:
        """Returns the aliases of an adapter, sorted; see Registry."""
        with storage_errors(self._path):
            return self._aliases.all_of(str(AdapterName.parse(name)))

    def alias_history(self, name: str, alias: str) -> list[AliasMove]:
        """Returns every move of an alias, the newest first; see Registry."""
        with storage_errors(self._path):
            return self._aliases.history(str(AdapterName.parse(name)), check_alias(alias))

    def set_alias(
        self, name: str, alias: str, version: int, expected_version: int | None = None, actor: str = ""
    ) -> Alias:
        """Points an alias at a live version and records the move; see Registry."""
        adapter = str(AdapterName.parse(name))
        with self._writing():
            move = (check_version(version), check_expected(expected_version), check_actor(actor))
            return self._aliases.set(adapter, check_alias(alias), *move)

    def rollback_alias(self, name: str, alias: str, actor: str = "") -> Alias:
        """Undoes the last move of an alias that was not undone yet; see Registry."""
        with self._writing():
            return self._aliases.roll_back(
                str(AdapterName.parse(name)), check_alias(alias), check_actor(actor)
            )

    def delete_version(self, name: str, version: int) -> None:
        """Deletes a version that no alias points at; see Registry."""
        with self._writing():
            self._versions.delete(str(AdapterName.parse(name)), check_version(version))

    def collect_garbage(self, dry_run: bool = False) -> Garbage:
        """Frees the files of deleted versions and of publishes that failed; waits for those under way.

        Raises RegistryBusy when they take too long, IndexCorrupt or another StorageError.
        """
        with self._writing(), self._lock.exclusive():
            if not dry_run:
                self._staging.sweep()
            return collect(self._versions.live_manifests(), self._blobs, self._folders, dry_run)

    def _opened(self, entry: FileEntry, digest: str) -> BinaryIO:
        """Opens a file of a version; only of a live one it is a loss when the file is gone."""
        try:
            return self._blobs.open(entry.digest)
        except BlobMissing as error:
            if self._versions.is_live(digest):
                raise
            raise VersionNotFound(f"{digest} was deleted and its files are gone", digest=digest) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if not self._writable:
            raise RegistryReadOnly(
                f"registry {self._path} cannot be written; mount it writable or use another",
                path=str(self._path),
            )
        with storage_errors(self._path):
            yield
