"""Connections to the index: one writer and one reader, or fresh read-only ones where nothing can be written.

Knows how to open and lock SQLite, not what the tables hold.
"""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from parfocal.registry.disk import (
    file_mode,
    forbidden,
    give_to_owner,
    is_mounted_read_only,
    patience,
    read_only,
)
from parfocal.registry.errors import RegistryBusy, RegistryError
from parfocal.registry.index.sqlite.errors import cannot_write, from_sqlite_error, index_errors
from parfocal.registry.index.sqlite.looking import look
from parfocal.registry.index.sqlite.migrations import migrate
from parfocal.registry.index.sqlite.opening import BUSY_S, check_owner, connect, is_new, is_ready, uri_of

WRITING = "BEGIN IMMEDIATE"

_Identity = tuple[int, int] | None


class SqliteDatabase:
    """The index in the file `path`. Safe to use from several threads.

    A file that is absent or empty becomes an index after `founding` was asked, which raises where it must
    not; `opening_lock` is held meanwhile. Where nothing can be written now, reads go on, and writes raise the
    reason.
    """

    def __init__(
        self,
        path: Path,
        opening_lock: Callable[[], AbstractContextManager[None]],
        founding: Callable[[], None],
    ) -> None:
        self._path = path
        self._opening_lock = opening_lock
        self._founding = founding
        self._guard = threading.Lock()
        self._pair: _Pair | None = None
        self._refusal: RegistryError = read_only(path.parent)
        with index_errors(path), self.read():
            pass

    @property
    def is_writable(self) -> bool:
        """Whether changes can be made now."""
        with index_errors(self._path):
            return self._opened() is not None

    def moment(self) -> object | None:
        """Stays equal while nobody changes the file, as SQLite and the system tell, or is None."""
        try:
            pair = self._opened()
            if pair is None:
                return None
            found = self._path.stat()
            return pair.serial, found.st_size, found.st_mtime_ns, pair.reader.data_version()
        except (sqlite3.Error, UnicodeDecodeError, OSError, RegistryError):
            return None

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Yields a connection that sees one moment of the index; raises StorageError or IndexCorrupt."""
        with index_errors(self._path):
            pair = self._opened()
            if pair is None and _is_absent(self._path):
                self._founding()
                raise self._refusal
            transaction = look(self._path) if pair is None else pair.reader.transaction("BEGIN")
            with transaction as connection:
                yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Yields a connection whose changes all commit when the body ends, or none if it raises.

        Waits for other writers, threads and processes alike, for as long as `patience` allows. Raises
        RegistryBusy or another StorageError, IndexCorrupt or why nothing can be written.
        """
        with index_errors(self._path):
            pair = self._opened()
            if pair is None:
                raise self._refusal
            with pair.writer.transaction(WRITING) as connection:
                yield connection

    def close(self) -> None:
        """Closes the connections; they are opened again when they are needed."""
        with self._guard:
            if self._pair is not None:
                self._pair.close()
            self._pair = None

    def _opened(self) -> "_Pair | None":
        """The connections to the file that lies at the path now, or None when it cannot be written."""
        with self._guard:
            if self._pair is None or self._pair.identity != _identity(self._path):
                self._pair = self._open()
            return self._pair

    def _open(self) -> "_Pair | None":
        refusal = self._why_not()
        if refusal is None:
            try:
                return self._prepared()
            except sqlite3.OperationalError as error:
                if not cannot_write(error):
                    raise
                refusal = from_sqlite_error(error, self._path)
        self._refusal = refusal
        return None

    def _why_not(self) -> RegistryError | None:
        """Why the index cannot be written, as far as that is known before trying."""
        folder = self._path.parent
        # access(2) tells a read-only mount apart even for root, to whom permissions say nothing.
        for path in (folder, self._path):
            if path.exists() and not os.access(path, os.W_OK):
                return read_only(folder) if is_mounted_read_only(folder) else forbidden(path, "write")
        return None

    def _prepared(self) -> "_Pair":
        """Connections to an index that exists, is ours and has the newest schema."""
        with ExitStack() as unless_ready:
            if _is_absent(self._path):
                with self._opening_lock():
                    self._found()
            # Read before opening: a file replaced meanwhile will be recognised as another next time.
            identity = _identity(self._path)
            connection = connect(f"{uri_of(self._path)}?mode=rw")
            unless_ready.callback(connection.close)
            check_owner(connection, self._path)
            if not is_ready(connection):
                # Switching to WAL and migrating need the file exclusively; SQLite would wait for neither.
                with self._opening_lock():
                    if is_new(connection):
                        self._founding()
                    connection.execute("PRAGMA journal_mode = WAL")
                    migrate(connection)
            connection.execute("PRAGMA synchronous = FULL")
            pair = _Pair(identity, connection, connect(f"{uri_of(self._path)}?mode=rw"))
            unless_ready.pop_all()
        return pair

    def _found(self) -> None:
        """Makes the empty file that SQLite fills, for whoever may write into the folder."""
        if not _is_absent(self._path):
            return  # another process was faster
        self._founding()
        self._path.touch()
        give_to_owner(self._path, self._path.parent)
        os.chmod(self._path, file_mode(self._path.parent))


class _Pair:
    """A writer and a reader of one file."""

    def __init__(self, identity: "_Identity", writer: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        self.identity = identity
        self.serial = object()
        self.writer = _Locked(writer)
        self.reader = _Locked(reader)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


class _Locked:
    """One connection for all threads, one transaction at a time; closed when unused."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.close = weakref.finalize(self, connection.close)

    def data_version(self) -> int:
        """Another number once anybody else has changed the file; see SQLite's pragma of this name."""
        with self._lock:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._turn() as left_s:
            if begin == WRITING:
                # Readers wait for nobody.
                self._connection.execute(f"PRAGMA busy_timeout = {round(left_s * 1000)}")
            self._connection.execute(begin)
            if begin == WRITING:
                # Clocks can be set back: what a restored alias points at may have been recorded after it.
                self._connection.execute("PRAGMA defer_foreign_keys = ON")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                # No transaction is open after a commit, nor after errors on which SQLite rolls back by
                # itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _turn(self) -> Iterator[float]:
        """Waits for other threads; yields the seconds that are left to wait for other processes."""
        patience_s, begun = patience(BUSY_S), time.monotonic()
        if not self._lock.acquire(timeout=patience_s):
            raise RegistryBusy(
                f"others have used the index for {patience_s:.1f} s without a break; try again later"
            )
        try:
            yield max(0.0, patience_s - (time.monotonic() - begun))
        finally:
            self._lock.release()


def _is_absent(path: Path) -> bool:
    """Whether there is no database yet: no file, or one that nothing was written into."""
    return not path.exists() or not path.stat().st_size


def _identity(path: Path) -> _Identity:
    """Identifies the file at the path: a replaced one is another, whatever it holds."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
