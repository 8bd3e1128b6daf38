"""The index in PostgreSQL, for several machines."""

from parfocal.registry.index.postgres.address import PostgresAddress
from parfocal.registry.index.postgres.index import PostgresIndex

__all__ = [
    "PostgresAddress",
    "PostgresIndex",
]
