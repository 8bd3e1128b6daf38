"""What the statements of an index need of a database. Knows no database."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Rows(Protocol):
    """What a statement found."""

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Session(Protocol):
    """An open transaction."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Rows:
        """Runs a statement, in which each `?` stands for the next value."""
        ...


class Database(Protocol):
    """Gives transactions; raises StorageError or IndexCorrupt in place of a driver's errors."""

    def moment(self) -> object | None:
        """As `Index.moment`."""
        ...

    def read(self) -> AbstractContextManager[Session]:
        """A transaction that sees one moment."""
        ...

    def write(self) -> AbstractContextManager[Session]:
        """A transaction that commits when the body ends, unless it raises; no other writer is in one."""
        ...
