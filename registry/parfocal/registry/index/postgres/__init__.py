"""The index in PostgreSQL, for several machines."""

from parfocal.registry.index.postgres.address import PostgresAddress
from parfocal.registry.index.postgres.index import PostgresIndex
from parfocal.registry.index.postgres.replacing import replace_index

__all__ = [
    "PostgresAddress",
    "PostgresIndex",
    "replace_index",
]
