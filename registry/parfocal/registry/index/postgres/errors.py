"""Turns PostgreSQL's errors into the registry's. Knows no operation by name."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from parfocal.registry.errors import (
    IndexCorrupt,
    IndexUnreachable,
    RegistryBusy,
    RegistryError,
    RegistryForbidden,
    RegistryFull,
    RegistryReadOnly,
    StorageError,
)

_BUSY = (
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.TooManyConnections,
)
_FORBIDDEN = (
    errors.InsufficientPrivilege,
    errors.InvalidAuthorizationSpecification,
    errors.InvalidPassword,
)
_FULL = (errors.DiskFull, errors.OutOfMemory)
_MISSING = (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName)


@contextmanager
def index_errors(shown: str) -> Iterator[None]:
    """Turns psycopg.Error of its body into RegistryBusy, IndexUnreachable and so on; `shown` is the index."""
    try:
        yield
    except psycopg.Error as error:
        raise from_postgres_error(error, shown) from error


def from_postgres_error(error: psycopg.Error, shown: str) -> RegistryError:
    """The registry's error for an error of the index at `shown`."""
    said = _said(error)
    if isinstance(error, _BUSY):
        return RegistryBusy(f"the index {shown} is held by others ({said}); try again", path=shown)
    if isinstance(error, _FORBIDDEN) or "authentication failed" in said:
        return RegistryForbidden(
            f"the index {shown} refuses this user ({said}); give the user the right, or name another",
            path=shown,
        )
    if isinstance(error, _FULL):
        return RegistryFull(f"no space left for the index {shown} ({said}); free some there", path=shown)
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return RegistryReadOnly(
            f"the index {shown} takes no changes now ({said}); give the address of the primary server",
            path=shown,
        )
    if isinstance(error, (*_MISSING, psycopg.IntegrityError, psycopg.DataError)):
        return IndexCorrupt(
            f"the index {shown} is damaged ({said}); nothing was changed: restore a backup of the database",
            path=shown,
        )
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return IndexUnreachable(
            f"the index {shown} does not answer ({said}); what was under way may have been done: look, or "
            "try again",
            path=shown,
        )
    return StorageError(f"the index {shown} failed: {said}", path=shown)


def _said(error: psycopg.Error) -> str:
    return " ".join((error.diag.message_primary or str(error) or type(error).__name__).split())
