"""Replaces a lost or damaged index by another, and keeps the old tables in a schema of their own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import psycopg
from psycopg import sql

from parfocal.registry.errors import IndexCorrupt
from parfocal.registry.index.postgres.address import PostgresAddress
from parfocal.registry.index.postgres.connections import Connection
from parfocal.registry.index.postgres.database import schema_lock, session_on
from parfocal.registry.index.postgres.errors import index_errors
from parfocal.registry.index.postgres.migrations import migrate
from parfocal.registry.index.sql import EVENT_COLUMNS, event_of, restore
from parfocal.registry.values import Event

_TABLES = (
    "aliases",
    "versions",
    "adapters",
    "events",
    "leases",
    "facts",
    "version_metrics",
    "version_tags",
    "signatures",
    "version_files",
    "registry",
)
# The events of an index in their order, and its manifests and signatures by digest.
Contents: TypeAlias = tuple[Sequence[Event], Mapping[str, bytes]]


def replace_index(address: PostgresAddress, renewed: Callable[[Contents], Contents]) -> str:
    """Puts what `renewed` makes of all that can be read of an index in its place, in one transaction.

    Whoever uses the index meanwhile waits, and goes on with the new one. Returns the schema into which the
    old tables were moved; empty where there were none. Raises StorageError.
    """
    with index_errors(address.shown), psycopg.connect(address.url, connect_timeout=5) as connection:
        connection.execute("SELECT set_config('search_path', %s, false)", (address.schema,))
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (schema_lock(address.schema),))
        there = _tables(connection, address.schema)
        if "registry" in there:  # whoever writes holds its row
            connection.execute("LOCK TABLE registry IN ACCESS EXCLUSIVE MODE")
        old = _read(connection, there)
        aside = _set_aside(connection, address.schema, there) if there else ""
        migrate(connection, address.schema)
        contents = renewed(old)
        with connection.pipeline():  # a round trip for each of many statements would take most of the time
            restore(session_on(connection), *contents)
        return aside


def _tables(connection: Connection, schema: str) -> set[str]:
    rows = connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = ANY(%s)",
        (schema, list(_TABLES)),
    )
    return {str(name) for (name,) in rows.fetchall()}


def _read(connection: Connection, there: set[str]) -> Contents:
    """What an index holds, as far as it can be read."""
    events: list[Event] = []
    manifests: dict[str, bytes] = {}
    if "events" in there:
        with _attempt(connection):
            for row in connection.execute(f"SELECT {EVENT_COLUMNS} FROM events ORDER BY sequence".encode()):
                events.append(event_of(row))
    if "versions" in there:
        with _attempt(connection):
            manifests.update(connection.execute("SELECT digest, manifest FROM versions").fetchall())
    if "signatures" in there:
        with _attempt(connection):
            manifests.update(connection.execute("SELECT digest, bundle FROM signatures").fetchall())
    return events, manifests


@contextmanager
def _attempt(connection: Connection) -> Iterator[None]:
    """A part of the transaction that may fail without ending it."""
    try:
        with connection.transaction():
            yield
    except (psycopg.Error, IndexCorrupt, ValueError, TypeError):
        if connection.closed or connection.broken:
            raise


def _set_aside(connection: Connection, schema: str, there: set[str]) -> str:
    """Moves the old tables away, one by one, so that every process notices."""
    aside = _free_schema(connection, schema)
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(aside)))
    for table in sorted(there):
        connection.execute(
            sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(
                sql.Identifier(schema, table), sql.Identifier(aside)
            )
        )
    has_function = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname = %s AND p.proname = 'refuse')",
        (schema,),
    ).fetchone()
    if has_function is not None and has_function[0]:
        connection.execute(
            sql.SQL("ALTER FUNCTION {}() SET SCHEMA {}").format(
                sql.Identifier(schema, "refuse"), sql.Identifier(aside)
            )
        )
    return aside


def _free_schema(connection: Connection, schema: str) -> str:
    taken = {str(name) for (name,) in connection.execute("SELECT nspname FROM pg_namespace").fetchall()}
    number = 1
    while (aside := f"{schema[:40]}_set_aside_{number}") in taken:
        number += 1
    return aside
