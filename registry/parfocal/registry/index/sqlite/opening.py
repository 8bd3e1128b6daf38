"""What distinguishes our index from any other file. Knows SQLite, not the registry around it."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from parfocal.registry.errors import NotARegistry, RegistryTooNew
from parfocal.registry.index.sqlite.migrations import APPLICATION_ID, MIGRATIONS, schema_version

BUSY_S = 30.0


def connect(uri: str, patience_s: float = BUSY_S) -> sqlite3.Connection:
    """Opens a database; transactions are begun by hand. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        uri, timeout=patience_s, isolation_level=None, check_same_thread=False, uri=True, cached_statements=64
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def uri_of(path: Path) -> str:
    """The path as SQLite's URI, to which a query can be added."""
    return f"file:{quote(str(path.absolute()))}"


def is_new(connection: sqlite3.Connection) -> bool:
    """Whether nothing was ever written into the database."""
    count = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    return not count and not schema_version(connection)


def is_ready(connection: sqlite3.Connection) -> bool:
    """Whether the database has our newest schema, in the mode in which readers do not wait for writers."""
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    return mode == "wal" and is_migrated(connection)


def is_migrated(connection: sqlite3.Connection) -> bool:
    """Whether the database has our newest schema."""
    return schema_version(connection) == len(MIGRATIONS)


def check_owner(connection: sqlite3.Connection, path: Path) -> None:
    """Raises NotARegistry or RegistryTooNew unless the database is new or an index that we read."""
    # In this order: another process that founds the index meanwhile signs it with its first write.
    new, version = is_new(connection), schema_version(connection)
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if owner != APPLICATION_ID and not (new and not owner):
        raise NotARegistry(
            f"{path} is the database of another program, not a registry's index; nothing was changed: "
            f"move it away, restore a backup, or run parfocal registry rebuild {path.parent}",
            path=str(path),
        )
    if version > len(MIGRATIONS):
        raise RegistryTooNew(
            f"{path} has schema {version}, this Parfocal knows up to {len(MIGRATIONS)}; upgrade it",
            path=str(path),
        )
