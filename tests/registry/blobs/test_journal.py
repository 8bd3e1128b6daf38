"""The journal of events beside the blobs: whole lines, whatever happened to the file."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parfocal.registry.blobs.folder import FileJournal
from parfocal.registry.values import Event, EventKind


def events(count: int, first: int = 1) -> list[Event]:
    return [
        Event(
            number,
            EventKind.VERSION_PUBLISHED,
            "team/x",
            datetime(2026, 1, 1, tzinfo=UTC),
            number,
            "sha256:0",
        )
        for number in range(first, first + count)
    ]


def filled(path: Path, count: int) -> FileJournal:
    journal = FileJournal(path)
    journal.extend(lambda after: events(count)[after:])
    return journal


def test_events_come_back_as_they_were(tmp_path: Path) -> None:
    told = [
        Event(1, EventKind.ALIAS_SET, "x", datetime.now(UTC), 2, "sha256:1", "prod", 1, 'a "b" ü'),
        Event(2, EventKind.ADAPTER_DELETED, "x", datetime.now(UTC)),
    ]
    journal = FileJournal(tmp_path / "journal")
    journal.extend(lambda after: told)
    assert list(journal.read()) == told
    assert journal.last() == told[-1]
    assert journal.is_intact()


def test_a_journal_that_does_not_exist_tells_nothing_and_is_not_made(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "journal")
    assert (journal.last(), list(journal.read()), journal.is_intact()) == (None, [], True)
    assert list(tmp_path.iterdir()) == []


def test_only_what_is_newer_is_asked_for(tmp_path: Path) -> None:
    asked: list[int] = []
    journal = filled(tmp_path / "journal", 3)

    def newer(after: int) -> Sequence[Event]:
        asked.append(after)
        return events(5)[after:]

    journal.extend(newer)
    journal.extend(newer)
    assert asked == [3, 5]
    assert [event.sequence for event in journal.read()] == [1, 2, 3, 4, 5]


@given(cut=st.integers(1, 300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_a_torn_line_is_passed_over_and_written_again(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    journal = filled(path, 4)
    path.write_bytes(path.read_bytes()[:-cut])
    last = journal.last()
    assert last is not None and last.sequence in (2, 3, 4)  # 4 where only the line feed is lost
    journal.extend(lambda after: events(6)[after:])
    assert [event.sequence for event in journal.read()] == [1, 2, 3, 4, 5, 6]


@given(spoilt=st.integers(0, 1000), bit=st.integers(0, 7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_rotten_byte_costs_its_line_and_no_other(tmp_path: Path, spoilt: int, bit: int) -> None:
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    journal = filled(path, 5)
    whole = list(journal.read())
    data = bytearray(path.read_bytes())
    data[spoilt % len(data)] ^= 1 << bit
    path.write_bytes(data)
    left = list(journal.read())
    assert set(left) <= set(whole)
    assert len(left) >= 3  # a rotten line feed joins two lines
    assert not journal.is_intact()


def test_what_is_no_journal_is_kept_and_written_behind(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"\x00\xff no journal")
    journal = FileJournal(path)
    assert journal.last() is None
    journal.extend(lambda after: events(2)[after:])
    assert [event.sequence for event in journal.read()] == [1, 2]
    assert path.read_bytes().startswith(b"\x00\xff no journal\n")


def test_the_last_event_is_found_before_a_long_tail_of_noise(tmp_path: Path) -> None:
    journal = filled(tmp_path / "journal", 2)
    with (tmp_path / "journal").open("ab") as file:
        file.write(b"noise\n" * 50_000)
    last = journal.last()
    assert last is not None and last.sequence == 2


def test_a_writer_that_fails_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    journal = filled(tmp_path / "journal", 2)

    def fail(after: int) -> Sequence[Event]:
        raise KeyError(after)

    with pytest.raises(KeyError):
        journal.extend(fail)
    assert journal.is_intact()
    journal.extend(lambda after: events(3)[after:])
    assert journal.is_intact()


def test_writers_side_by_side_write_every_event_once(tmp_path: Path) -> None:
    happened: list[Event] = []
    lock = threading.Lock()

    def write() -> None:
        journal = FileJournal(tmp_path / "journal")
        for _ in range(25):
            with lock:
                happened.extend(events(1, len(happened) + 1))
            journal.extend(lambda after: list(happened)[after:])

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "journal").read_bytes().splitlines()
    assert len(lines) == len(happened) == 100
    assert FileJournal(tmp_path / "journal").is_intact()
