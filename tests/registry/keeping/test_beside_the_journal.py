"""Whatever is done to the journal is found beside its index, however long both are, in the same memory."""

import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.registry.publisher import numbered_adapter
from parfocal.registry import FolderRegistry, HistoryVerification, Publication, StoredRegistry, verify_events
from parfocal.registry.blobs.folder import FileJournal
from parfocal.registry.blobs.objects import ObjectJournal, open_bucket
from parfocal.registry.values import Event, EventKind

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COUNT = 12
PLACES = st.integers(0, COUNT - 1)


def history(count: int, actor: str = "") -> Iterator[Event]:
    """A sealed history of as many moves."""
    previous = ""
    for number in range(1, count + 1):
        place = number, f"sha256:{number:064}", "prod", number - 1
        event = Event(number, EventKind.ALIAS_SET, "team/x", NOON, *place, actor)
        previous = event.hash_after(previous)
        yield replace(event, hash=previous)


HISTORY = list(history(COUNT))


def named(found: HistoryVerification) -> set[int]:
    return {fault.sequence for fault in found.faults}


def test_a_journal_that_nobody_touched_is_sound() -> None:
    found = verify_events(HISTORY, journal=HISTORY)
    assert (found.is_sound, found.events, found.unconfirmed) == (True, COUNT, 0)


@given(removed=st.sets(PLACES, min_size=1))
def test_lines_that_are_removed_are_named_and_an_end_that_is_cut_off_is_counted(removed: set[int]) -> None:
    left = [event for place, event in enumerate(HISTORY) if place not in removed]
    end = left[-1].sequence if left else 0
    found = verify_events(HISTORY, journal=left)
    assert named(found) == {place + 1 for place in removed if place < end}
    assert found.unconfirmed == COUNT - end


@given(order=st.permutations(range(COUNT)))
def test_lines_that_changed_places_are_found(order: Sequence[int]) -> None:
    found = verify_events(HISTORY, journal=[HISTORY[place] for place in order])
    assert found.is_sound == (list(order) == sorted(order))
    assert found.unconfirmed == 0


@given(
    place=PLACES,
    change=st.sampled_from(
        [{"actor": "eve"}, {"version": 99}, {"alias": "dev"}, {"hash": HISTORY[0].hash_after("x")}]
    ),
)
def test_a_line_that_says_something_else_is_named(place: int, change: dict[str, object]) -> None:
    edited = list(HISTORY)
    edited[place] = replace(edited[place], **change)  # type: ignore[arg-type]
    assert named(verify_events(HISTORY, journal=edited)) == {place + 1}


@given(place=st.integers(0, COUNT), number=st.integers(0, COUNT + 3), is_copy=st.booleans())
def test_a_line_that_is_added_is_found(place: int, number: int, is_copy: bool) -> None:
    added = replace(HISTORY[0], sequence=number, actor="eve")
    if is_copy and 0 < number <= COUNT:
        added = HISTORY[number - 1]
    lines = [*HISTORY[:place], added, *HISTORY[place:]]
    assert not verify_events(HISTORY, journal=lines).is_sound


@given(first=PLACES, count=st.integers(1, COUNT))
def test_rows_that_the_index_lost_are_named_whatever_the_journal_has(first: int, count: int) -> None:
    left = HISTORY[:first] + HISTORY[first + count :]
    lost = {event.sequence for event in HISTORY} - {event.sequence for event in left}
    assert named(verify_events(left, journal=HISTORY)) == lost


@pytest.mark.parametrize("first", [1, 900, 2500])
def test_more_lines_than_are_read_ahead_may_be_gone(first: int) -> None:
    events = list(history(5000))
    gone = range(first, first + 2000)
    found = verify_events(events, journal=(event for event in events if event.sequence not in gone))
    assert named(found) == set(gone)
    found = verify_events((event for event in events if event.sequence not in gone), journal=events)
    # The first thousand of a gap are named one by one.
    assert named(found) == set(gone[:1000])


def test_thousands_of_faults_are_counted_when_nobody_would_read_them() -> None:
    forged = history(10_500, actor="eve")
    found = verify_events(forged, journal=history(10_500))
    assert len(found.faults) == 10_001
    assert str(found.faults[-1]) == "500 more faults were found, and are not listed"


Journal = FileJournal | ObjectJournal


def file_journal(folder: Path) -> FileJournal:
    return FileJournal(folder / "journal.jsonl")


def object_journal(folder: Path) -> ObjectJournal:
    return ObjectJournal(open_bucket(f"file://{folder}/bucket"))


@pytest.mark.parametrize("lost", [range(0), range(10, 1800)], ids=["whole", "with a gap"])
@pytest.mark.parametrize("opened", [file_journal, object_journal])
def test_a_journal_is_read_in_the_same_memory_however_long_it_is(
    tmp_path: Path, opened: Callable[[Path], Journal], lost: range
) -> None:
    def written(count: int) -> Journal:
        journal = opened(tmp_path / str(count))
        (tmp_path / str(count)).mkdir()
        events = list(history(count))
        journal.extend(lambda after: events[after:])
        return opened(tmp_path / str(count))

    def verified(count: int, journal: Journal) -> None:
        kept = (event for event in journal.read() if event.sequence not in lost)
        found = verify_events(history(count), journal=kept)
        assert len(found.faults) == len(lost)

    few, many = written(3000), written(12_000)
    less, more = peak_of(lambda: verified(3000, few)), peak_of(lambda: verified(12_000, many))
    assert more < 1.2 * less


def peak_of(act: Callable[[], object]) -> int:
    """The most memory that was in use at a time while `act` ran, in bytes."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_index_is_read_in_the_same_memory_however_much_has_happened(
    tmp_path: Path, publication: Publication
) -> None:
    def written(moves: int) -> FolderRegistry:
        folder = tmp_path / str(moves)
        registry = FolderRegistry(folder)
        for number in (1, 2):
            registry.publish("team/x", numbered_adapter(tmp_path, number), publication)
        return moved_to_and_fro(registry, moves)

    few, many = written(2500), written(10_000)
    less, more = (peak_of(lambda each=each: verified(each)) for each in (few, many))  # type: ignore[misc]
    assert more < 1.2 * less


def verified(registry: StoredRegistry) -> None:
    assert registry.verify_history().is_sound
    assert registry.verify().is_sound


def moved_to_and_fro(registry: FolderRegistry, moves: int) -> FolderRegistry:
    """The registry again, after so many moves that were written at once."""
    from parfocal.registry.blobs import FolderBlobs
    from parfocal.registry.index.sqlite import SqliteIndex

    there = SqliteIndex(registry.path / "index.sqlite", lambda: None)
    published, manifests = there.events(0, 10), dict(there.manifests())
    there.close()
    digests = {event.version: event.digest for event in published}
    events = list(published)
    for number in range(moves):
        version, before = number % 2 + 1, 2 - number % 2 if number else 0
        place = version, digests[version], "prod", before
        events.append(Event(len(events) + 1, EventKind.ALIAS_SET, "team/x", NOON, *place))
    for name in ("index.sqlite", "journal.jsonl"):
        (registry.path / name).unlink()
    index = SqliteIndex(registry.path / "index.sqlite", lambda: None)
    index.restore(events, manifests)
    FolderBlobs(registry.path).journal.extend(lambda after: every(index, after))
    index.close()
    return FolderRegistry(registry.path)


def every(index: object, after: int) -> list[Event]:
    from parfocal.registry.index.sqlite import SqliteIndex

    assert isinstance(index, SqliteIndex)
    return index.events(after, 1 << 20)


def test_what_happens_while_a_history_is_read_is_no_fault(
    any_storage: StoredRegistry, publication: Publication, tmp_path: Path
) -> None:
    for number in (1, 2):
        any_storage.publish("x", numbered_adapter(tmp_path, number), publication)
        any_storage.set_alias("x", "prod", number)
    told: list[tuple[int, int]] = []

    def others_go_on(done: int, total: int) -> None:
        told.append((done, total))
        any_storage.publish("x", numbered_adapter(tmp_path, 3), publication)
        any_storage.set_alias("x", "prod", 3)
        any_storage.delete_version("x", 1)

    found = any_storage.verify_history(progress=others_go_on)
    assert (found.faults, found.unconfirmed, found.events) == ((), 0, 4)
    assert told == [(4, 4)]
    assert any_storage.verify_history().events == 7


def test_a_journal_that_lags_behind_is_no_fault_and_is_told(
    registry: FolderRegistry, publication: Publication, tmp_path: Path
) -> None:
    registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    registry.set_alias("x", "prod", 1)
    journal = registry.path / "journal.jsonl"
    first, second = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(first)
    found = registry.verify_history()
    assert (found.is_sound, found.unconfirmed) == (True, 1)
    journal.write_bytes(second)
    found = registry.verify_history()
    assert (named(found), found.unconfirmed) == ({1}, 0)


def lines(events: Iterable[Event]) -> bytes:
    from parfocal.registry.blobs.journal_lines import line_of

    return b"".join(map(line_of, events))


def test_a_line_without_end_costs_no_memory_and_no_other_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    whole = lines(HISTORY[:2])
    path.write_bytes(whole + b"\0" * (12 << 20) + b"\n" + lines(HISTORY[2:]))
    journal = FileJournal(path)
    assert peak_of(lambda: list(journal.read())) < 6 << 20
    assert list(journal.read()) == HISTORY
    assert not journal.is_intact()


def test_a_chapter_that_another_process_binds_meanwhile_is_read_whole(tmp_path: Path) -> None:
    there, here = (object_journal(tmp_path) for _ in range(2))
    events = list(history(1500))
    for end in (400, 999):
        there.extend(lambda after, end=end: events[after:end])  # type: ignore[misc]
    reading = here.read()
    assert next(reading) == events[0]
    there.extend(lambda after: events[after:])
    assert [event.sequence for event in reading] == list(range(2, 1501))
    assert here.is_intact()
