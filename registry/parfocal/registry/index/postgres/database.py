"""The index's transactions and locks in PostgreSQL. Knows the schema's version, not what the tables hold."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from parfocal.registry.disk import patience
from parfocal.registry.errors import RegistryError, RegistryTooNew
from parfocal.registry.index.postgres.address import PostgresAddress
from parfocal.registry.index.postgres.connections import Connection, Connections
from parfocal.registry.index.postgres.errors import index_errors
from parfocal.registry.index.postgres.migrations import MIGRATIONS, migrate, schema_version
from parfocal.registry.index.sql import Rows, Session

_BUSY_S = 30.0
_PUBLISHING = "SELECT pg_advisory_lock_shared(%s)"
_COLLECTING = "SELECT pg_advisory_lock(%s)"


class PostgresDatabase:
    """The index at `address`. Safe to use from several threads, processes and machines.

    Writers take turns by the one row of `registry`, which every write locks first: so the numbers of events
    and versions have no gaps and become visible in their order. A schema without tables becomes an index
    after `founding` was asked, which raises where it must not.
    """

    def __init__(self, address: PostgresAddress, founding: Callable[[], None]) -> None:
        self.shown = address.shown
        self._schema = address.schema
        self._connections = Connections(address)
        with index_errors(self.shown):
            self._prepare(founding)

    def close(self) -> None:
        """Closes the connections; they are opened again when they are needed."""
        self._connections.close()

    def moment(self) -> object | None:
        """Stays equal while no event happens, or is None."""
        moment = "SELECT identity, (SELECT max(sequence) FROM events) FROM registry"
        found: list[object] = []
        try:
            with (
                index_errors(self.shown),
                self._connections.proved(
                    lambda connection: found.append(connection.execute(moment).fetchone())
                ),
            ):
                return found[-1]
        except RegistryError:
            return None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yields a transaction that sees one moment of the index; raises StorageError or IndexCorrupt."""
        begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        with index_errors(self.shown), self._connections.proved(lambda c: c.execute(begin)) as connection:
            yield _Session(connection)
            connection.execute("COMMIT")

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yields a transaction that commits when the body ends, or changes nothing if it raises.

        Waits for other writers for as long as `patience` allows. Raises RegistryBusy, IndexUnreachable where
        it cannot be known whether the change was made, or another StorageError.
        """
        with index_errors(self.shown), self._connections.proved(_begin_to_write) as connection:
            yield _Session(connection)
            connection.execute("COMMIT")

    @contextmanager
    def publishing(self) -> Iterator[int]:
        """Holds off collection; yields how many there have been. Raises RegistryBusy."""
        with self._locked(_PUBLISHING) as connection:
            with index_errors(self.shown):
                count = _collections(connection)
            yield count

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Holds off publishing and counts the collection; raises RegistryBusy.

        Who was publishing and has lost its lock with its connection is told so by the count.
        """
        with self._locked(_COLLECTING) as connection:
            with index_errors(self.shown):
                connection.execute("UPDATE registry SET collections = collections + 1")
            yield

    @contextmanager
    def _locked(self, statement: str) -> Iterator[Connection]:
        key = _key(self._schema)

        def lock(connection: Connection) -> None:
            _limit_waiting(connection, "false")
            connection.execute(statement.encode(), (key,))

        with index_errors(self.shown):
            connection = self._connections.taken(lock)
        try:
            yield connection
        finally:
            with suppress(psycopg.Error):
                connection.execute("SELECT pg_advisory_unlock_all()")
            self._connections.give_back(connection)

    def _prepare(self, founding: Callable[[], None]) -> None:
        """Makes or migrates the tables, unless they have our newest schema already."""
        with self._connections.proved(lambda c: c.execute("SELECT 1")) as connection:
            found = schema_version(connection, self._schema)
            if found > len(MIGRATIONS):
                raise RegistryTooNew(
                    f"the index {self.shown} has schema {found}, this Parfocal knows up to "
                    f"{len(MIGRATIONS)}; upgrade it",
                    path=self.shown,
                )
            if found == len(MIGRATIONS):
                return
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (schema_lock(self._schema),))
                if not schema_version(connection, self._schema):  # nobody was faster
                    founding()
                migrate(connection, self._schema)


class _Session:
    """A connection in a transaction, in the spelling that statements of the index have."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        found: Rows = self._connection.execute(statement.replace("?", "%s").encode(), values)
        return found


def _begin_to_write(connection: Connection) -> None:
    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    _limit_waiting(connection, "true")
    connection.execute("SELECT FROM registry FOR UPDATE")


def _limit_waiting(connection: Connection, is_local: str) -> None:
    limit_ms = max(1, round(patience(_BUSY_S) * 1000))
    connection.execute("SELECT set_config('lock_timeout', %s, %s::boolean)", (f"{limit_ms}ms", is_local))


def session_on(connection: Connection) -> Session:
    """A transaction that the caller has begun, for the statements of an index."""
    return _Session(connection)


def schema_lock(schema: str) -> int:
    """The number of the advisory lock under which the tables of a schema are made."""
    return _key(f"{schema}:schema")


def _collections(connection: Connection) -> int:
    row = connection.execute("SELECT collections FROM registry").fetchone()
    return 0 if row is None else int(row[0])


def _key(text: str) -> int:
    """The number of an advisory lock, of which a database has 2^64."""
    return int.from_bytes(hashlib.sha256(f"parfocal:{text}".encode()).digest()[:8], "big", signed=True)
