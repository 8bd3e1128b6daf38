"""The index in PostgreSQL: what SQLite does by files, this does by the server's locks."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from parfocal.registry.errors import IndexUnreachable, RegistryBusy
from parfocal.registry.index.postgres.address import PostgresAddress
from parfocal.registry.index.postgres.database import PostgresDatabase
from parfocal.registry.index.sql import Session, SqlIndex
from parfocal.registry.values import Version


class PostgresIndex(SqlIndex):
    """The index at `address`, for any number of processes on any number of machines.

    `founding` is asked before an empty schema becomes an index, and raises where it must not. Raises
    RegistryTooNew, RegistryForbidden, IndexUnreachable or another StorageError.
    """

    def __init__(self, address: PostgresAddress, founding: Callable[[], None]) -> None:
        self._server = PostgresDatabase(address, founding)
        self._publishing = threading.local()
        super().__init__(self._server)

    def close(self) -> None:
        """Closes the connections; the next use opens others."""
        self._server.close()

    def add_version(
        self, name: str, manifest: bytes, actor: str = "", signatures: Sequence[bytes] = ()
    ) -> Version:
        """As `Index` says; where the server fell silent, asks again, which makes no second version."""
        try:
            return super().add_version(name, manifest, actor, signatures)
        except IndexUnreachable:
            return super().add_version(name, manifest, actor, signatures)

    def check(self) -> list[str]:
        with self._server.read() as session:
            count, last = session.execute(
                "SELECT count(*), coalesce(max(sequence), 0) FROM events"
            ).fetchone()
        return [] if count == last else [f"its history has {count} events, and the last is number {last}"]

    @contextmanager
    def publishing(self) -> Iterator[None]:
        with self._server.publishing() as collections:
            self._publishing.collections = collections
            try:
                yield
            finally:
                self._publishing.collections = None

    @contextmanager
    def collecting(self) -> Iterator[None]:
        with self._server.collecting():
            yield

    def _before_adding(self, session: Session) -> None:
        """Raises RegistryBusy where files may have been collected since this thread began to publish.

        Only who lost its connection, and with it the lock, can meet that.
        """
        began = getattr(self._publishing, "collections", None)
        if began is None:
            return
        (now,) = session.execute("SELECT collections FROM registry").fetchone()
        if now != began:
            raise RegistryBusy("files were collected while this was published; publish it again")

    def _clock(self, session: Session) -> datetime:
        """The server's clock, which all machines share."""
        (found,) = session.execute("SELECT clock_timestamp()").fetchone()
        assert isinstance(found, datetime)
        return found
