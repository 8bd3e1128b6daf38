"""A long log: whatever is asked of one alias or one page finds it by an index, and reads no other event."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from parfocal.registry.index import NO_TERMS
from parfocal.registry.index.sql import SqlIndex
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.values import Event, EventKind

EVENTS, NAMES = 10_000, 100
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def digest(number: int) -> str:
    return f"sha256:{number:064}"


def history() -> Iterator[Event]:
    """Two versions for each name, and then moves to and fro."""
    for number in range(2 * NAMES):
        name, version = f"team/x{number % NAMES}", number // NAMES + 1
        yield Event(number + 1, EventKind.VERSION_PUBLISHED, name, NOON, version, digest(number))
    for number in range(2 * NAMES, EVENTS):
        name, version = f"team/x{number % NAMES}", number // NAMES % 2 + 1
        place = version, digest(number % NAMES + (version - 1) * NAMES), "prod"
        before = 0 if number < 3 * NAMES else 3 - version
        yield Event(number + 1, EventKind.ALIAS_SET, name, NOON, *place, before)


class Planned:
    """A connection that notes how each statement about events is carried out."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.plans: list[tuple[str, str]] = []

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        if "FROM events" in statement:
            for row in self._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values):
                self.plans.append((statement, row[3]))
        return self._connection.execute(statement, values)


class PlannedDatabase:
    """A database of one connection."""

    def __init__(self, session: Planned) -> None:
        self._session = session

    def moment(self) -> None:
        return None

    @contextmanager
    def read(self) -> Iterator[Planned]:
        yield self._session

    write = read


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "index.sqlite"
    index = SqliteIndex(path, lambda: None)
    index.restore(history(), {})
    index.close()
    return path


@pytest.mark.parametrize(
    "asked",
    [
        lambda index: index.roll_back_alias("team/x7", "prod", "", NO_TERMS),
        lambda index: index.moves("team/x7", "prod", 50, ""),
        lambda index: index.moves("team/x7", "", 50, ""),
        lambda index: index.events(EVENTS - 10, 1000),
        lambda index: index.gate("team/x7", "prod"),
        lambda index: index.set_alias("team/x7", "other", 1, ""),
    ],
    ids=["a rollback", "an alias's moves", "an adapter's moves", "the last events", "a gate", "an append"],
)
def test_it_finds_its_events_by_an_index_and_sorts_none(
    path: Path, asked: Callable[[SqlIndex], object]
) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    session = Planned(connection)
    connection.execute("BEGIN")
    try:
        asked(SqlIndex(PlannedDatabase(session)))
    finally:
        connection.execute("ROLLBACK")
        connection.close()
    assert session.plans
    for statement, step in session.plans:
        # The last event of all is where a scan backwards ends at once.
        if "WHERE" in statement:
            assert not step.startswith("SCAN events"), statement
        assert "TEMP B-TREE" not in step, statement
