"""The index in SQLite."""

from parfocal.registry.index.sqlite.index import SqliteIndex
from parfocal.registry.index.sqlite.rescuing import rescue

__all__ = [
    "SqliteIndex",
    "rescue",
]
