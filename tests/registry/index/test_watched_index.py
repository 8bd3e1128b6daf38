"""A watch of an index that others change, restore or rebuild below it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from fakes.registry.memory_index import MemoryIndex
from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.errors import EventUnknown
from parfocal.registry.values import Event, EventKind
from parfocal.registry.watching import Changes, IndexWatch

Write = Callable[..., Path]
EVENT = Event(0, EventKind.ADAPTER_DELETED, "team/x", datetime.now(UTC))


def numbered(*numbers: int) -> list[Event]:
    return [replace(EVENT, sequence=number) for number in numbers]


class CountingIndex(MemoryIndex):
    """Counts how often its events are read."""

    reads = 0

    def events(self, after: int, limit: int) -> list[Event]:
        self.reads += 1
        return super().events(after, limit)


class EndedChanges(Changes):
    """Ends each wait with nothing new, and after many the watch."""

    waits = 0
    watch: IndexWatch | None = None

    def wait(self, seen: int, limit_s: float) -> int:
        self.waits += 1
        if self.waits > 20 and self.watch is not None:
            self.watch.close()
        return seen


def test_what_another_process_does_is_told_too(
    registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    watch = registry.watch()
    other = FolderRegistry(registry.path)
    other.publish("team/x", adapter(fill=1), publication)
    other.set_alias("team/x", "prod", 1)

    assert [event.kind.value for event in islice(watch, 2)] == ["version_published", "alias_set"]


def test_an_index_that_does_not_change_is_not_read_again() -> None:
    index, changes = CountingIndex(), EndedChanges()
    index.restore(numbered(1, 2), {})
    changes.watch = IndexWatch(index, changes, "", 0)

    assert [event.sequence for event in changes.watch] == [1, 2]
    assert changes.waits > 20
    assert index.reads == 2  # the events, and that there are no more


@pytest.mark.parametrize("left", [numbered(), numbered(1), numbered(1, 2)])
def test_a_history_that_becomes_shorter_ends_the_watch(left: list[Event]) -> None:
    index = MemoryIndex()
    index.restore(numbered(1, 2, 3), {})
    events = iter(IndexWatch(index, Changes(), "", 2))
    assert next(events).sequence == 3

    index.restore(left, {})

    with pytest.raises(EventUnknown, match="restored or rebuilt"):
        next(events)


def test_a_gap_in_the_history_ends_the_watch() -> None:
    index = MemoryIndex()
    index.restore(numbered(1, 2, 4), {})
    events = iter(IndexWatch(index, Changes(), "", 0))

    assert [event.sequence for event in (next(events), next(events))] == [1, 2]
    with pytest.raises(EventUnknown, match="no event 3"):
        next(events)


def test_a_watch_from_the_end_of_a_restored_history_is_refused() -> None:
    index = MemoryIndex()
    index.restore(numbered(1, 2), {})

    with pytest.raises(EventUnknown, match="no event 3, its last is 2"):
        IndexWatch(index, Changes(), "", 3)
