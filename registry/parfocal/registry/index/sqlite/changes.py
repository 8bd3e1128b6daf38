"""Changes of the index: records each event and applies it, inside an open transaction."""

import sqlite3

from parfocal.registry.index.sqlite.rows import EVENT_COLUMNS, moment_text
from parfocal.registry.values import Event, EventKind


def apply(connection: sqlite3.Connection, event: Event, manifest: bytes = b"") -> None:
    """Records an event, under its own number or the next one if that is 0, and does what it says.

    `manifest` is that of a version that is published.
    """
    when = moment_text(event.happened_at)
    connection.execute(
        f"INSERT INTO events ({EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.sequence or None,
            event.kind.value,
            event.name,
            when,
            event.version,
            event.digest,
            event.alias,
            event.previous_version,
            event.actor,
        ),
    )
    match event.kind:
        case EventKind.VERSION_PUBLISHED:
            _publish(connection, event, when, manifest)
        case EventKind.VERSION_DELETED:
            connection.execute(
                "UPDATE versions SET deleted_at = ? WHERE name = ? AND version = ?",
                (when, event.name, event.version),
            )
        case EventKind.ALIAS_SET | EventKind.ALIAS_ROLLED_BACK:
            connection.execute(
                "INSERT INTO aliases (name, alias, version, actor, moved_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version,"
                " actor = excluded.actor, moved_at = excluded.moved_at",
                (event.name, event.alias, event.version, event.actor, when),
            )
        case EventKind.ALIAS_DELETED:
            connection.execute("DELETE FROM aliases WHERE name = ? AND alias = ?", (event.name, event.alias))
        case EventKind.ADAPTER_DELETED:
            connection.execute("UPDATE adapters SET deleted_at = ? WHERE name = ?", (when, event.name))


def next_number(connection: sqlite3.Connection, name: str) -> int:
    """The number of an adapter's next version."""
    row = connection.execute("SELECT next_version FROM adapters WHERE name = ?", (name,)).fetchone()
    return 1 if row is None else int(row[0])


def _publish(connection: sqlite3.Connection, event: Event, when: str, manifest: bytes) -> None:
    connection.execute(
        "INSERT INTO adapters (name, created_at) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET deleted_at = NULL",
        (event.name, when),
    )
    # In a history that is restored, a lost number may come after a higher one.
    connection.execute(
        "UPDATE adapters SET next_version = ?1 WHERE name = ?2 AND next_version < ?1",
        (event.version + 1, event.name),
    )
    connection.execute(
        "INSERT INTO versions (name, version, digest, manifest, created_at) VALUES (?, ?, ?, ?, ?)",
        (event.name, event.version, event.digest, manifest, when),
    )
