"""The folder of a registry: whether it is one, whether it can be written, and what opens its parts."""

import os
from pathlib import Path

from parfocal.registry.blobs import FolderLock, make_folder
from parfocal.registry.errors import NotARegistry
from parfocal.registry.index.sqlite import Database, ReadOnlyDatabase, WritableDatabase

_INDEX = "index.sqlite"
_LOCK = "lock"
_OPENING_LOCK = "opening.lock"
_PARTS = frozenset({"blobs", "staging", "materialised", _LOCK, _OPENING_LOCK})


class Place:
    """A folder that is a registry, or becomes one now. Raises NotARegistry, sqlite3.Error or OSError."""

    def __init__(self, path: Path, create: bool) -> None:
        self._path = path
        index = path / _INDEX
        if not index.exists():
            self._found(create)
        # access(2) tells a read-only mount apart even for root, to whom permissions say nothing.
        self.is_writable = os.access(path, os.W_OK) and os.access(index, os.W_OK)
        self.lock = FolderLock(path / _LOCK)
        self.database: Database = (
            WritableDatabase(index, FolderLock(path / _OPENING_LOCK).exclusive)
            if self.is_writable
            else ReadOnlyDatabase(index)
        )

    def home(self, cache: Path | None) -> Path:
        """Returns where local copies go: the registry itself, or a cache when it cannot be written."""
        if cache is not None:
            return cache
        return self._path if self.is_writable else Path.home() / ".cache" / "parfocal"

    def _found(self, create: bool) -> None:
        """Makes an empty folder into a registry's; raises NotARegistry when it holds anything else."""
        if not create:
            raise NotARegistry(f"{self._path} is not a registry; publish into it first", path=str(self._path))
        if self._path.exists() and not self._path.is_dir():
            raise NotARegistry(f"{self._path} is a file, not a registry's folder", path=str(self._path))
        make_folder(self._path)
        strangers = sorted(entry.name for entry in self._path.iterdir() if not _belongs(entry.name))
        if strangers:
            raise NotARegistry(
                f"{self._path} holds {strangers[0]!r} and no registry; give an empty or a new folder",
                path=str(self._path),
            )
        (self._path / _INDEX).touch()


def _belongs(name: str) -> bool:
    return name in _PARTS or name.startswith((_INDEX, ".", "lost+found"))
