"""A registry in a folder: blobs, a journal, an SQLite index and locks. Several processes may use it."""

from contextlib import ExitStack, suppress
from pathlib import Path

from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.copies import LocalCopies
from parfocal.registry.disk import FolderLock, Staging, cache_home, disk_errors, make_folder
from parfocal.registry.errors import NotARegistry
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.keeping import check_nothing_is_lost
from parfocal.registry.publishing import IsolatedCheck, check_here
from parfocal.registry.stored_registry import StoredRegistry

INDEX = "index.sqlite"
USE_LOCK = "use.lock"
_PARTS = (
    "blobs",
    "quarantine",
    "staging",
    "materialised",
    "lock",
    "opening.lock",
    USE_LOCK,
    "journal.",
    INDEX,
)


class FolderRegistry(StoredRegistry):
    """The registry in the folder `path`, which is made when absent unless `create` is false.

    Local copies go into `cache`; without one into the folder itself, and where that cannot be written into
    the user's cache. Reads work even where nothing can be written. If `isolated`, what is published is
    checked in a process of its own. Raises NotARegistry, IndexLost, IndexCorrupt, RegistryTooNew or another
    StorageError.
    """

    def __init__(
        self,
        path: Path,
        *,
        create: bool = True,
        cache: Path | None = None,
        blobs: FolderBlobs | None = None,
        isolated: bool = False,
    ) -> None:
        self._path = path
        with disk_errors(path), ExitStack() as unless_open:
            stored = blobs or FolderBlobs(path)
            if not (path / INDEX).exists():
                check_nothing_is_lost(stored, str(path))
                _check_is_free(path, create)
                make_folder(path)
            # Nobody may replace the index under a process that could write into it. Whoever may not write
            # here cannot take the lock, and needs none; nor is there one on a file system without locks.
            with suppress(OSError):
                unless_open.callback(FolderLock(path / USE_LOCK).share_with(self))
            index = SqliteIndex(path / INDEX, lambda: check_nothing_is_lost(stored, str(path)))
            copies = [LocalCopies(home) for home in ([cache] if cache else [path, cache_home()])]
            check = IsolatedCheck(Staging(path / "staging")) if isolated else check_here
            super().__init__(str(path), index, stored, copies, check)
            if index.is_writable:
                stored.clean()
                self.catch_up()
            copies[0].staging.sweep()
            unless_open.pop_all()

    @property
    def path(self) -> Path:
        """The folder that everything is in."""
        return self._path


def _check_is_free(path: Path, create: bool) -> None:
    """Raises NotARegistry unless a registry may be made here."""
    if not create:
        raise NotARegistry(f"{path} is not a registry; publish into it first", path=str(path))
    if path.exists() and not path.is_dir():
        raise NotARegistry(f"{path} is a file, not a registry's folder", path=str(path))
    entries = path.iterdir() if path.exists() else ()
    strangers = sorted(entry.name for entry in entries if not _belongs(entry.name))
    if strangers:
        raise NotARegistry(
            f"{path} holds {strangers[0]!r} and no registry; give an empty or a new folder", path=str(path)
        )


def _belongs(name: str) -> bool:
    return name.startswith((*_PARTS, ".", "lost+found"))
