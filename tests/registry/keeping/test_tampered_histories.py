"""Whoever writes past the registry into its database is found out by `--verify`, in SQLite and PostgreSQL."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fakes.registry.publisher import numbered_adapter, small_publication
from parfocal.registry import Seal, StoredRegistry, open_registry
from parfocal.registry.index.sql import EVENT_COLUMNS

EVENTS = 7
COLUMNS = tuple(EVENT_COLUMNS.split(", "))
NUMBERS = ("version", "previous_version")
# What others may write there: words, and what other events say.
WORDS = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), max_size=80)
PLACES = st.integers(0, EVENTS - 1)
Row: TypeAlias = tuple[Any, ...]
# Runs a statement whose values stand as `%s`.
Run: TypeAlias = Callable[..., Sequence[Row]]


@dataclass(frozen=True)
class Tampered:
    """A registry with a history, and what writes past it into its database."""

    registry: StoredRegistry
    run: Run
    rows: list[Row]
    journal: Path
    noted: Seal

    def named(self, rows: Sequence[Row], against: Seal | None = None) -> set[int]:
        """The numbers of the events that are named where the history reads so; it is put right again."""
        self._put(rows)
        try:
            return {fault.sequence for fault in self.registry.verify_history(against).faults}
        finally:
            self._put(self.rows)

    def _put(self, rows: Sequence[Row]) -> None:
        self.run("DELETE FROM events")
        places = ", ".join(["%s"] * len(COLUMNS))
        for row in rows:
            self.run(f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({places})", *row)


@contextmanager
def past_sqlite(path: Path) -> Iterator[Run]:
    """A connection to an index, for which nothing is forbidden."""
    import sqlite3

    with closing(sqlite3.connect(path, isolation_level=None)) as index:
        index.execute("PRAGMA ignore_check_constraints = ON")
        for trigger in ("events_are_not_changed", "events_are_not_removed"):
            index.execute(f"DROP TRIGGER {trigger}")
        yield lambda statement, *values: index.execute(statement.replace("%s", "?"), values).fetchall()


@contextmanager
def past_postgresql(url: str) -> Iterator[Run]:
    """The same in PostgreSQL, whose administrator may do everything."""
    import psycopg

    from parfocal.registry.index.postgres import PostgresAddress

    address = PostgresAddress.parse(url)
    schema = f"-c search_path={address.schema}"
    with psycopg.connect(address.url, autocommit=True, options=schema) as index:
        index.execute("ALTER TABLE events DISABLE TRIGGER USER")
        index.execute("ALTER TABLE events DROP CONSTRAINT events_kind_check")

        def run(statement: str, *values: object) -> Sequence[Row]:
            found = index.execute(statement.encode(), values or None)
            return found.fetchall() if found.description else []

        yield run


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def tampered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tampered]:
    """Seven events: two adapters published and promoted in turn, one rolled back, one deleted."""
    folder = tmp_path_factory.mktemp("tampered")
    home = folder / "registry"
    if request.param == "SQLite":
        location, past = str(home), past_sqlite(home / "index.sqlite")
    else:
        url = request.getfixturevalue("postgres").url(f"test_{secrets.token_hex(6)}")
        location, past = f"{url}&blobs={home}", past_postgresql(url)
    registry = open_registry(location)
    assert isinstance(registry, StoredRegistry)
    publication = small_publication(folder)
    for number in (1, 2):
        registry.publish("team/x", numbered_adapter(folder, number), publication)
        registry.set_alias("team/x", "prod", number, actor="ann")
    registry.rollback_alias("team/x", "prod", 2, actor="ben")
    registry.publish("team/y", numbered_adapter(folder, 3), publication)
    registry.delete_version("team/x", 2, actor="cy")
    with past as run:
        rows = [tuple(row) for row in run(f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY sequence")]
        assert len(rows) == EVENTS
        yield Tampered(registry, run, rows, home / "journal.jsonl", registry.verify_history().last)


def test_a_history_that_nobody_touched_is_sound(tampered: Tampered) -> None:
    assert tampered.named(tampered.rows, tampered.noted) == set()


@settings(max_examples=40)
@given(place=PLACES, column=st.sampled_from(COLUMNS[1:]), data=st.data())
def test_whatever_is_edited_in_an_event_it_is_named(
    tampered: Tampered, place: int, column: str, data: st.DataObject
) -> None:
    at = COLUMNS.index(column)
    others = st.sampled_from([row[at] for row in tampered.rows])
    value = data.draw(others | (st.integers(0, 1 << 40) if column in NUMBERS else WORDS))
    assume(value != tampered.rows[place][at])

    edited = list(tampered.rows)
    edited[place] = (*edited[place][:at], value, *edited[place][at + 1 :])
    assert place + 1 in tampered.named(edited)


@settings(max_examples=30)
@given(removed=st.sets(PLACES, min_size=1))
def test_whatever_is_removed_is_named(tampered: Tampered, removed: set[int]) -> None:
    left = [row for place, row in enumerate(tampered.rows) if place not in removed]
    assert {place + 1 for place in removed} <= tampered.named(left)


@settings(max_examples=30)
@given(order=st.permutations(range(EVENTS)))
def test_whatever_is_put_elsewhere_is_named(tampered: Tampered, order: Sequence[int]) -> None:
    moved = [(place + 1, *tampered.rows[other][1:]) for place, other in enumerate(order)]
    elsewhere = {place + 1 for place, other in enumerate(order) if other != place}
    named = tampered.named(moved)
    assert elsewhere <= named if elsewhere else named == set()


@settings(max_examples=20)
@given(kept=PLACES)
def test_a_history_cut_short_with_its_journal_is_told_by_what_was_noted(
    tampered: Tampered, kept: int
) -> None:
    whole = tampered.journal.read_bytes()
    tampered.journal.write_bytes(b"".join(whole.splitlines(keepends=True)[:kept]))
    try:
        assert EVENTS in tampered.named(tampered.rows[:kept], tampered.noted)
    finally:
        tampered.journal.write_bytes(whole)
