"""What can still be read of an index that may be damaged, foreign or gone."""

import sqlite3
from pathlib import Path

from parfocal.registry.errors import IndexCorrupt, NotARegistry
from parfocal.registry.index.sql import EVENT_COLUMNS, event_of
from parfocal.registry.index.sqlite.looking import look
from parfocal.registry.values import Event


def rescue(path: Path) -> tuple[list[Event], dict[str, bytes]]:
    """The events, and manifests and signatures by digest, as far as they can be read; raises OSError."""
    events: list[Event] = []
    manifests: dict[str, bytes] = {}
    try:
        with look(path) as connection:
            rows = connection.execute(f"SELECT {EVENT_COLUMNS} FROM events ORDER BY sequence")
            events.extend(event_of(row) for row in rows)
            manifests.update(connection.execute("SELECT digest, manifest FROM versions"))
            manifests.update(connection.execute("SELECT digest, bundle FROM signatures"))
    except (sqlite3.Error, IndexCorrupt, NotARegistry, FileNotFoundError, ValueError, TypeError):
        pass  # what was read so far is of use
    return events, manifests
