"""Connections to one PostgreSQL server, proved before they are used. Knows no table."""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import psycopg
from psycopg import errors

from parfocal.registry.disk import patience
from parfocal.registry.index.postgres.address import PostgresAddress

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

# A server that is restarted takes connections again after some seconds.
_RETURN_S = 20.0
_PAUSE_S = 0.1
_KEPT = 8
# Who froze or lost its way holds the others up no longer than this.
_SESSION = "-c idle_in_transaction_session_timeout=60000"
_COMING_BACK = (errors.CannotConnectNow, errors.AdminShutdown, errors.CrashShutdown)
_REFUSED = (
    errors.InvalidAuthorizationSpecification,
    errors.InvalidPassword,
    errors.InvalidCatalogName,
    errors.TooManyConnections,
)
_NEVER = ("authentication failed", "does not exist", "no password supplied", "no pg_hba.conf entry")


class Connections:
    """Connections to `address`, reused by any thread, one user at a time.

    The first statement of a transaction proves its connection: where it fails because the server has gone,
    nothing was done, and another connection is opened, for as long as a restart takes.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._guard = threading.Lock()
        self._idle: list[Connection] = []
        self._forgotten: list[Connection] = []
        self._process = os.getpid()
        weakref.finalize(self, _close, self._idle, self._process)

    @contextmanager
    def proved(self, prove: Callable[[Connection], object]) -> Iterator[Connection]:
        """Yields a connection for which `prove` has worked; raises psycopg.Error."""
        connection = self.taken(prove)
        try:
            yield connection
        finally:
            self.give_back(connection)

    def close(self) -> None:
        """Closes those that nobody uses."""
        with self._guard:
            _close(self._idle, self._process)

    def taken(self, prove: Callable[[Connection], object]) -> Connection:
        """A connection for which `prove` has worked, to be given back; raises psycopg.Error."""
        until = time.monotonic() + patience(_RETURN_S)
        while True:
            connection: Connection | None = None
            try:
                connection = self._next()
                prove(connection)
            except psycopg.OperationalError as error:
                if connection is not None and not connection.closed and not connection.broken:
                    self.give_back(connection)  # the statement failed, not the server
                    raise
                self.close()  # what broke one connection has broken all
                if not _may_come_back(error) or time.monotonic() > until:
                    raise
                time.sleep(_PAUSE_S)
            except BaseException:  # an interrupt too: what nobody gives back is lost for ever
                if connection is not None:
                    self.give_back(connection)
                raise
            else:
                return connection

    def _next(self) -> Connection:
        with self._guard:
            if self._process != os.getpid():  # a fork must not speak on its parent's connections
                self._process = os.getpid()
                self._forgotten += self._idle
                self._idle.clear()
            if self._idle:
                return self._idle.pop()
        return self._opened()

    def _opened(self) -> Connection:
        schema = self._address.schema
        connection = psycopg.connect(
            self._address.url,
            autocommit=True,
            connect_timeout=5,
            application_name="parfocal",
            options=f"{_SESSION} -c search_path={schema} -c client_encoding=UTF8",
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
        # What was acknowledged survives a power cut, whatever the server does by default.
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
        return connection

    def give_back(self, connection: Connection) -> None:
        """Takes a connection back; what was begun on it and not committed is undone."""
        if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            with suppress(psycopg.Error):
                connection.rollback()
        with self._guard:
            is_usable = not connection.closed and not connection.broken
            if is_usable and len(self._idle) < _KEPT and self._process == os.getpid():
                self._idle.append(connection)
                return
        connection.close()


def _close(idle: list[Connection], process: int) -> None:
    while idle and process == os.getpid():
        idle.pop().close()


def _may_come_back(error: psycopg.OperationalError) -> bool:
    """Whether the server may only be restarting: it refuses no user, and lacks no database."""
    if isinstance(error, _COMING_BACK):
        return True
    return not isinstance(error, _REFUSED) and not any(each in str(error) for each in _NEVER)
