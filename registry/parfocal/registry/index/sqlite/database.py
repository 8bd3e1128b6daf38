"""Connections to the index: one writer, one reader, and a way to read where nothing can be written.

Knows how to open and lock SQLite, not what the tables hold.
"""

import shutil
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from parfocal.registry.errors import NotARegistry, RegistryReadOnly, RegistryTooNew
from parfocal.registry.index.sqlite.migrations import APPLICATION_ID, MIGRATIONS, migrate, schema_version

_BUSY_S = 30.0


class Database(Protocol):
    """Gives connections inside a transaction."""

    def read(self) -> AbstractContextManager[sqlite3.Connection]:
        """Gives a connection that sees one moment of the index."""
        ...

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """Gives a connection whose changes all happen when the body ends, or none when it raises."""
        ...


class WritableDatabase:
    """An index that this process may change. Safe to use from several threads."""

    def __init__(self, path: Path, opening_lock: Callable[[], AbstractContextManager[None]]) -> None:
        self._writer = _Locked(_prepared(path, opening_lock))
        self._reader = _Locked(_connect(f"{_uri(path)}?mode=rw"))

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Gives the reader, in a transaction that sees one moment of the index."""
        with self._reader.transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Gives the writer, after waiting for other processes; raises sqlite3.Error."""
        with self._writer.transaction("BEGIN IMMEDIATE") as connection:
            yield connection


class ReadOnlyDatabase:
    """An index that cannot be written from here. Opens anew for each read, as others may still write it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Gives a fresh connection; raises sqlite3.Error or OSError."""
        with (
            tempfile.TemporaryDirectory(prefix="parfocal-index-") as scratch,
            closing(self._open(Path(scratch))) as connection,
        ):
            connection.execute("BEGIN")
            yield connection

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """Raises RegistryReadOnly."""
        raise RegistryReadOnly(
            f"registry {self._path.parent} cannot be written; mount it writable or use another",
            path=str(self._path.parent),
        )

    def _open(self, scratch: Path) -> sqlite3.Connection:
        try:
            return _checked(_connect(f"{_uri(self._path)}?mode=ro"), self._path)
        except sqlite3.OperationalError:
            # A database in WAL mode wants its -shm file, which cannot be made here.
            return _checked(self._open_without_shared_memory(scratch), self._path)

    def _open_without_shared_memory(self, scratch: Path) -> sqlite3.Connection:
        wal = Path(f"{self._path}-wal")
        if not wal.is_file() or wal.stat().st_size == 0:
            return _connect(f"{_uri(self._path)}?mode=ro&immutable=1")
        # Commits still wait in the -wal file; only a copy can replay them.
        for source in (self._path, wal):
            shutil.copyfile(source, scratch / source.name)
        return _connect(f"{_uri(scratch / self._path.name)}?mode=rw")


class _Locked:
    """One connection for all threads, one transaction at a time; closed when nobody holds it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        weakref.finalize(self, connection.close)

    @contextmanager
    def transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute(begin)
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                # Nothing is open after a commit, nor after errors at which SQLite rolls back by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")


def _prepared(path: Path, opening_lock: Callable[[], AbstractContextManager[None]]) -> sqlite3.Connection:
    """Returns a connection to an index that exists, is ours and has the newest schema."""
    with ExitStack() as unless_ready:
        connection = _connect(f"{_uri(path)}?mode=rwc")
        unless_ready.callback(connection.close)
        if not _is_ready(connection):
            # Switching to WAL and migrating want the file alone; SQLite would not wait for either.
            with opening_lock():
                _check_owner(connection, path)
                connection.execute("PRAGMA journal_mode = WAL")
                migrate(connection)
        connection.execute("PRAGMA synchronous = FULL")
        _checked(connection, path)
        unless_ready.pop_all()
    return connection


def _is_ready(connection: sqlite3.Connection) -> bool:
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    return mode == "wal" and schema_version(connection) == len(MIGRATIONS)


def _checked(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    with ExitStack() as unless_sound:
        unless_sound.callback(connection.close)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        _check_owner(connection, path)
        unless_sound.pop_all()
    return connection


def _check_owner(connection: sqlite3.Connection, path: Path) -> None:
    version = schema_version(connection)
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if version and owner != APPLICATION_ID:
        raise NotARegistry(f"{path} is not the index of a registry", path=str(path))
    if version > len(MIGRATIONS):
        raise RegistryTooNew(
            f"{path} has schema {version}, this Parfocal knows up to {len(MIGRATIONS)}; upgrade it",
            path=str(path),
        )


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, uri=True, cached_statements=64
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _uri(path: Path) -> str:
    return f"file:{quote(str(path.absolute()))}"
