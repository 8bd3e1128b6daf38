"""Turns what the disk and SQLite say into the registry's errors. Knows no operation by name."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parfocal.registry.errors import (
    IndexCorrupt,
    RegistryBusy,
    RegistryError,
    RegistryFull,
    RegistryReadOnly,
    StorageError,
)

_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_SQLITE_READ_ONLY = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM})
_SQLITE_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SQLITE_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT})


@contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Runs its body; OSError and sqlite3.Error leave it as RegistryReadOnly, RegistryFull and so on."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, place) from error
    except sqlite3.Error as error:
        raise from_sqlite_error(error, place) from error


def from_os_error(error: OSError, place: Path) -> RegistryError:
    """Returns the registry's error for an OSError that happened in the registry at `place`."""
    if error.errno in _READ_ONLY:
        return RegistryReadOnly(
            f"registry {place} cannot be written ({error.strerror}); mount it writable or use another",
            path=str(place),
        )
    if error.errno in _FULL:
        return RegistryFull(
            f"registry {place} has no space left ({error.strerror}); free some, e.g. with parfocal gc",
            path=str(place),
        )
    return StorageError(f"registry {place} failed: {error}", path=str(place))


def from_sqlite_error(error: sqlite3.Error, place: Path) -> RegistryError:
    """Returns the registry's error for an error of its index."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    path = str(place)
    if code in _SQLITE_READ_ONLY:
        return RegistryReadOnly(f"registry {place} cannot be written ({error}); mount it writable", path=path)
    if code == sqlite3.SQLITE_FULL:
        return RegistryFull(f"registry {place} has no space left ({error}); free some", path=path)
    if code in _SQLITE_BUSY:
        return RegistryBusy(f"registry {place} is held by another process ({error}); try again", path=path)
    if code in _SQLITE_CORRUPT:
        return IndexCorrupt(
            f"the index of registry {place} is damaged ({error}); restore a copy of it", path=path
        )
    return StorageError(f"the index of registry {place} failed: {error}", path=path)
