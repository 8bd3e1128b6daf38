"""The index in SQLite."""

from parfocal.registry.index.sqlite.alias_index import AliasIndex
from parfocal.registry.index.sqlite.database import Database, ReadOnlyDatabase, WritableDatabase
from parfocal.registry.index.sqlite.version_index import VersionIndex

__all__ = [
    "AliasIndex",
    "Database",
    "ReadOnlyDatabase",
    "VersionIndex",
    "WritableDatabase",
]
