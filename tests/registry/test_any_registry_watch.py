"""What a watch promises in every registry: the same tests for a folder, for memory and for a server."""

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from parfocal.registry import Publication, Registry, Watch
from parfocal.registry.errors import EventUnknown, InvalidArgument, InvalidName
from parfocal.registry.values import Event, EventKind

Write = Callable[..., Path]


def first(watch: Watch, count: int) -> list[Event]:
    """The next events of a watch, which is then closed."""
    found = list(islice(watch, count))
    watch.close()
    return found


def told(events: list[Event]) -> list[tuple[int, str, str, int, str]]:
    return [(event.sequence, event.kind.value, event.name, event.version, event.alias) for event in events]


@pytest.fixture
def history(any_registry: Registry, adapter: Write, publication: Publication) -> Registry:
    """A registry in which everything has happened that can happen."""
    any_registry.publish("team/x", adapter(fill=1), publication)
    any_registry.publish("team/x", adapter(fill=2), publication)
    any_registry.publish("y", adapter(fill=3), publication)
    any_registry.set_alias("team/x", "prod", 1, actor="ann")
    any_registry.set_alias("team/x", "prod", 2, actor="ben")
    any_registry.rollback_alias("team/x", "prod", 2, actor="cy")
    any_registry.delete_version("team/x", 2, actor="dee")
    any_registry.delete_alias("team/x", "prod", actor="eve")
    any_registry.delete_adapter("default/y", actor="fay")
    return any_registry


HISTORY = [
    (1, "version_published", "team/x", 1, ""),
    (2, "version_published", "team/x", 2, ""),
    (3, "version_published", "y", 1, ""),
    (4, "alias_set", "team/x", 1, "prod"),
    (5, "alias_set", "team/x", 2, "prod"),
    (6, "alias_rolled_back", "team/x", 1, "prod"),
    (7, "version_deleted", "team/x", 2, ""),
    (8, "alias_deleted", "team/x", 0, "prod"),
    (9, "version_deleted", "y", 1, ""),
    (10, "adapter_deleted", "y", 0, ""),
]


def test_every_kind_of_change_is_told_in_order_and_whole(history: Registry) -> None:
    events = first(history.watch(after=0), 10)

    assert told(events) == HISTORY
    assert [event.actor for event in events[3:]] == ["ann", "ben", "cy", "dee", "eve", "fay", "fay"]
    assert [event.previous_version for event in events[3:8]] == [0, 1, 2, 0, 1]
    assert events[0].digest == events[3].digest == history.resolve("team/x@1").digest
    moves = history.alias_moves("team/x").items
    assert [event.move() for event in events if event.alias][::-1] == list(moves)


@pytest.mark.parametrize("after", range(10))
def test_a_resumed_watch_misses_nothing_and_repeats_nothing(history: Registry, after: int) -> None:
    watch = history.watch(after=after)

    assert watch.begins_after == after
    assert told(first(watch, 10 - after)) == HISTORY[after:]


def test_a_watch_tells_only_of_what_happens_after_it_began(history: Registry) -> None:
    watch = history.watch()
    history.set_alias("team/x", "dev", 1)

    assert watch.begins_after == 10
    assert told(first(watch, 1)) == [(11, "alias_set", "team/x", 1, "dev")]


def test_a_watch_of_one_adapter_tells_of_no_other(history: Registry) -> None:
    watch = history.watch("y", after=0)

    assert told(first(watch, 3)) == [event for event in HISTORY if event[2] == "y"]


def test_an_adapter_can_be_watched_before_it_exists(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    watch = any_registry.watch("new/z")
    any_registry.publish("new/other", adapter(fill=1), publication)
    any_registry.publish("new/z", adapter(fill=2), publication)

    (event,) = first(watch, 1)

    assert (event.kind, event.name, event.sequence) == (EventKind.VERSION_PUBLISHED, "new/z", 2)


def test_a_change_wakes_who_waits_for_it(history: Registry) -> None:
    events: list[Event] = []
    watch = history.watch()
    reader = threading.Thread(target=lambda: events.extend(first(watch, 1)))
    reader.start()
    history.set_alias("team/x", "dev", 1)
    reader.join(30)

    assert told(events) == [(11, "alias_set", "team/x", 1, "dev")]


def test_closing_a_watch_ends_it_in_the_thread_that_waits(history: Registry) -> None:
    rest: list[Event] = []
    watch = history.watch()
    reader = threading.Thread(target=lambda: rest.extend(watch))
    reader.start()
    watch.close()
    watch.close()
    reader.join(30)

    assert (rest, reader.is_alive()) == ([], False)


def test_a_number_that_the_history_does_not_have_is_refused(history: Registry) -> None:
    with pytest.raises(EventUnknown, match="no event 11, its last is 10") as refused:
        list(history.watch(after=11))

    assert refused.value.metadata == {"sequence": "11", "last": "10"}


@pytest.mark.parametrize("after", [-1, 1 << 63, -(1 << 63)])
def test_a_number_that_is_none_is_refused(any_registry: Registry, after: int) -> None:
    with pytest.raises(InvalidArgument, match="after_sequence"):
        any_registry.watch(after=after)


def test_a_name_that_is_none_is_refused(any_registry: Registry) -> None:
    with pytest.raises(InvalidName):
        any_registry.watch("NO/name")


@pytest.fixture(autouse=True)
def nobody_is_left_watching() -> Iterator[None]:
    yield
    left = [thread for thread in threading.enumerate() if thread.name == "registry-watch"]
    for thread in left:
        thread.join(30)
    assert not any(thread.is_alive() for thread in left)
