"""Turns SQLite's errors into the registry's. Knows no operation by name."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parfocal.registry.disk import disk_errors, forbidden, full, is_full, is_mounted_read_only, read_only
from parfocal.registry.errors import IndexCorrupt, RegistryBusy, RegistryError, StorageError

_READ_ONLY = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT})
_CANNOT_WRITE = frozenset(
    {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
)


@contextmanager
def index_errors(path: Path) -> Iterator[None]:
    """Turns sqlite3.Error and OSError of its body into IndexCorrupt, RegistryFull and so on."""
    try:
        with disk_errors(path):
            yield
    except sqlite3.Error as error:
        raise from_sqlite_error(error, path) from error
    except UnicodeDecodeError as error:  # of a message in which SQLite quotes a damaged schema
        raise corrupt(path, "its schema cannot be read") from error


def cannot_write(error: sqlite3.Error) -> bool:
    """Whether the error may come from a full or read-only disk, where reading may still work."""
    return _code(error) in _CANNOT_WRITE


def from_sqlite_error(error: sqlite3.Error, path: Path) -> RegistryError:
    """The registry's error for an error of the index at `path`."""
    code = _code(error)
    if code == sqlite3.SQLITE_FULL or (code in _CANNOT_WRITE and is_full(path.parent)):
        return full(path, str(error))
    if code in _READ_ONLY:
        return read_only(path) if is_mounted_read_only(path.parent) else forbidden(path, "write")
    if code in _BUSY:
        return RegistryBusy(
            f"the index {path} is held by another process ({error}); try again", path=str(path)
        )
    if code in _CORRUPT or str(error).startswith("no such table"):
        return corrupt(path, str(error))
    return StorageError(f"the index {path} failed: {error}", path=str(path))


def corrupt(path: Path, what: str) -> IndexCorrupt:
    """The error for an index that is damaged, with the way out."""
    return IndexCorrupt(
        f"the index {path} is damaged ({what}); nothing was changed: restore a backup, or run "
        f"parfocal registry rebuild {path.parent}",
        path=str(path),
    )


def _code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF
