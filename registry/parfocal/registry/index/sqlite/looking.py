"""Reads an index that cannot be written from here, though others may still write it."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from parfocal.registry.index.sqlite.migrations import migrate
from parfocal.registry.index.sqlite.opening import check_owner, connect, is_migrated, uri_of


@contextmanager
def look(path: Path) -> Iterator[sqlite3.Connection]:
    """Gives a fresh connection, in a transaction that sees one moment; raises sqlite3.Error or OSError."""
    with path.open("rb"):
        pass  # what keeps the file from being read is named by the system better than by SQLite
    with (
        tempfile.TemporaryDirectory(prefix="parfocal-index-") as scratch,
        closing(_opened(path, Path(scratch))) as connection,
    ):
        connection.execute("BEGIN")
        yield connection


def _opened(path: Path, scratch: Path) -> sqlite3.Connection:
    with suppress(sqlite3.OperationalError):
        return _sound(connect(f"{uri_of(path)}?mode=ro"), path)
    wal = Path(f"{path}-wal")
    if not wal.is_file() or wal.stat().st_size == 0:
        # A database in WAL mode wants its -shm file, which cannot be made here.
        with suppress(sqlite3.OperationalError):
            return _sound(connect(f"{uri_of(path)}?mode=ro&immutable=1"), path)
    return _copied(path, wal, scratch)


def _copied(path: Path, wal: Path, scratch: Path) -> sqlite3.Connection:
    """Opens a copy: it can replay commits that wait in the -wal file, and take a newer schema."""
    copy = scratch / path.name
    shutil.copyfile(path, copy)
    if wal.is_file():
        shutil.copyfile(wal, scratch / wal.name)
    connection = connect(f"{uri_of(copy)}?mode=rw")
    try:
        check_owner(connection, path)
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _sound(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """The connection, if it reads our newest schema; raises NotARegistry, RegistryTooNew or sqlite3.Error."""
    try:
        check_owner(connection, path)
        _check_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_schema(connection: sqlite3.Connection) -> None:
    if not is_migrated(connection):
        raise sqlite3.OperationalError("the schema is an older one")
