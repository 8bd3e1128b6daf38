"""Whatever is changed, removed or put elsewhere in a history is named, in every kind of index."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.registry.publisher import numbered_adapter
from parfocal.registry import FolderRegistry, Publication, Seal, StoredRegistry, verify_events
from parfocal.registry.errors import InvalidArgument
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.values import Event, EventKind


def sealed(events: list[Event]) -> list[Event]:
    found: list[Event] = []
    for event in events:
        previous = found[-1].hash if found else ""
        found.append(replace(event, hash=event.hash_after(previous)))
    return found


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HISTORY = sealed(
    [
        Event(number, EventKind.ALIAS_SET, "team/x", NOON, number, f"sha256:{number:064}", "prod", number - 1)
        for number in range(1, 9)
    ]
)


def test_a_history_as_it_was_written_is_sound() -> None:
    found = verify_events(HISTORY)
    assert found.is_sound
    assert (found.events, found.last) == (8, Seal(8, HISTORY[-1].hash))
    assert verify_events(HISTORY, found.last).is_sound
    assert verify_events([]).is_sound


@given(
    place=st.integers(0, 7),
    change=st.sampled_from(
        [
            {"actor": "eve"},
            {"version": 99},
            {"previous_version": 99},
            {"digest": "sha256:no"},
            {"alias": "dev"},
            {"name": "team/y"},
            {"kind": EventKind.ALIAS_DELETED},
            {"happened_at": datetime(2026, 1, 2, tzinfo=UTC)},
            {"hash": HISTORY[0].hash_after("")},
        ]
    ),
)
def test_any_event_that_is_changed_is_named(place: int, change: dict[str, object]) -> None:
    changed = list(HISTORY)
    changed[place] = replace(changed[place], **change)  # type: ignore[arg-type]
    if changed[place].hash == HISTORY[place].hash and changed[place] == HISTORY[place]:
        return
    found = verify_events(changed)
    assert found.faults[0].sequence == place + 1


@given(place=st.integers(0, 7))
def test_any_event_that_is_removed_is_named(place: int) -> None:
    left = HISTORY[:place] + HISTORY[place + 1 :]
    assert [fault.sequence for fault in verify_events(left, journal=HISTORY).faults] == [place + 1]
    assert verify_events(left, Seal(8, HISTORY[-1].hash)).faults[0].sequence == place + 1


@given(first=st.integers(0, 7), second=st.integers(0, 7))
def test_events_that_changed_places_are_named(first: int, second: int) -> None:
    moved = list(HISTORY)
    moved[first] = replace(HISTORY[second], sequence=first + 1)
    moved[second] = replace(HISTORY[first], sequence=second + 1)
    named = {fault.sequence for fault in verify_events(moved).faults}
    assert {first + 1, second + 1} - {9} <= named if first != second else named == set()


def test_a_history_that_was_sealed_anew_is_told_by_the_journal_and_by_what_was_noted() -> None:
    forged = sealed([replace(event, actor="eve" if event.sequence == 5 else "") for event in HISTORY])
    assert verify_events(forged).is_sound
    assert [fault.sequence for fault in verify_events(forged, journal=HISTORY).faults] == [5, 6, 7, 8]
    noted = verify_events(HISTORY).last
    assert [fault.sequence for fault in verify_events(forged, noted).faults] == [8]


@pytest.mark.parametrize("text", ["", "5", "x:sha256:1", f"0:sha256:{'0' * 64}", "5:md5:1"])
def test_what_is_no_seal_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        Seal.parse(text)


def test_a_seal_is_read_as_it_is_shown() -> None:
    seal = verify_events(HISTORY).last
    assert Seal.parse(str(seal)) == seal


@pytest.fixture
def write(publication: Publication, tmp_path: Path) -> Callable[[StoredRegistry], None]:
    """Returns a function that makes six events."""

    def publish(registry: StoredRegistry) -> None:
        for number in (1, 2):
            registry.publish("x", numbered_adapter(tmp_path, number), publication)
            registry.set_alias("x", "prod", number, actor="ann")
        registry.rollback_alias("x", "prod", 2, actor="ben")
        registry.delete_version("x", 2, actor="cy")

    return publish


def test_every_index_seals_what_happens(
    any_storage: StoredRegistry, write: Callable[[StoredRegistry], None]
) -> None:
    write(any_storage)
    found = any_storage.verify_history()
    assert (found.events, found.faults) == (6, ())
    any_storage.set_alias("x", "dev", 1)
    later = any_storage.verify_history(found.last)
    assert (later.events, later.faults) == (7, ())
    assert any_storage.verify_history(Seal(6, later.last.hash)).faults[0].sequence == 6


def test_a_history_is_proved_from_elsewhere(
    registry: FolderRegistry, remote: RemoteRegistry, write: Callable[[StoredRegistry], None]
) -> None:
    write(registry)
    found = verify_events(islice(remote.watch(after=0), 6))
    assert (found.events, found.faults) == (6, ())
    assert found.last == registry.verify_history().last


@pytest.fixture
def opened(registry: FolderRegistry, write: Callable[[StoredRegistry], None]) -> Iterator[sqlite3.Connection]:
    """The index of a registry with six events, without what keeps it from being changed."""
    write(registry)
    index = sqlite3.connect(registry.path / "index.sqlite", isolation_level=None)
    for trigger in ("events_are_not_changed", "events_are_not_removed"):
        index.execute(f"DROP TRIGGER {trigger}")
    yield index
    index.close()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE events SET actor = 'eve' WHERE sequence = 2", [2]),
        ("UPDATE events SET happened_at = 'yesterday' WHERE sequence = 3", [3]),
        ("DELETE FROM events WHERE sequence = 4", [4]),
        ("DELETE FROM events WHERE sequence > 4", [5, 6, 0, 0]),
        ("UPDATE aliases SET version = 2", [0]),
        ("DELETE FROM aliases", [0]),
        ("UPDATE events SET sequence = sequence + 10 WHERE sequence = 6", [6]),
    ],
)
def test_what_somebody_did_to_the_database_is_named(
    registry: FolderRegistry, opened: sqlite3.Connection, statement: str, named: list[int]
) -> None:
    opened.execute(statement)
    faults = registry.verify_history().faults
    assert [fault.sequence for fault in faults][: len(named)] == named


def test_a_history_of_before_events_were_sealed_is_sealed_when_it_is_opened(
    registry: FolderRegistry, opened: sqlite3.Connection
) -> None:
    before = registry.alias_history("x", "prod")
    for table, column in (("aliases", "canary"), ("events", "canary"), ("events", "gate")):
        opened.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    opened.execute("ALTER TABLE events DROP COLUMN hash")
    for table in ("facts", "version_metrics", "version_tags", "signatures", "version_files"):
        opened.execute(f"DROP TABLE {table}")
    opened.execute("PRAGMA user_version = 3")
    opened.close()
    path = registry.path
    again = FolderRegistry(path)
    assert again.verify_history().faults == ()
    assert again.alias_history("x", "prod") == before
    again.set_alias("x", "dev", 1)
    assert again.verify_history().events == 7
