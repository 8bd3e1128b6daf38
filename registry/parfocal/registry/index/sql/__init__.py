"""The index in statements that SQLite and PostgreSQL both understand; the rest is each database's own."""

from parfocal.registry.index.sql.changes import restore
from parfocal.registry.index.sql.facts import Facts, note
from parfocal.registry.index.sql.index import SqlIndex
from parfocal.registry.index.sql.rows import EVENT_COLUMNS, event_of
from parfocal.registry.index.sql.sealing import SEALED_COLUMNS, UNSEALED_COLUMNS, sealed_rows
from parfocal.registry.index.sql.session import Database, Rows, Session
from parfocal.registry.index.sql.usage import noted

__all__ = [
    "EVENT_COLUMNS",
    "SEALED_COLUMNS",
    "UNSEALED_COLUMNS",
    "Database",
    "Facts",
    "Rows",
    "Session",
    "SqlIndex",
    "event_of",
    "note",
    "noted",
    "restore",
    "sealed_rows",
]
