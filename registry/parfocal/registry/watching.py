"""Follows the changes of a registry as they happen. Knows an index by its protocol, and no wire."""

import threading
from collections.abc import Iterator
from typing import Protocol

from parfocal.registry.index import Index, refusals
from parfocal.registry.values import Event

# For changes that other processes make; those of this one are told at once.
_POLL_S = 0.25
_BATCH = 100


class Watch(Protocol):
    """The events after one moment, in order, each once. Iterate in one thread; any thread may close it."""

    @property
    def begins_after(self) -> int:
        """The number of the last event before the watch; 0 where it begins with the first."""
        ...

    def __iter__(self) -> Iterator[Event]:
        """Waits for each event; ends when the watch is closed.

        Raises EventUnknown where the history changes below it, StorageError or, behind a wire, RemoteError.
        """
        ...

    def close(self) -> None:
        """Ends the watch; again is harmless."""
        ...


class Changes:
    """Tells waiting threads that this process has changed a registry."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def happened(self) -> None:
        """Wakes everybody who waits."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait(self, seen: int, limit_s: float) -> int:
        """Waits for more than the `seen` ones, at most `limit_s` seconds. Returns how many there were."""
        with self._condition:
            self._condition.wait_for(lambda: self._count != seen, limit_s)
            return self._count


class IndexWatch:
    """A watch of an index that others may change too.

    `after` is the number of an event, None for the last one there is. Raises EventUnknown.
    """

    def __init__(self, index: Index, changes: Changes, name: str, after: int | None) -> None:
        last = index.last_sequence()
        self._begins_after = last if after is None else after
        if self._begins_after > last:
            raise refusals.no_event(self._begins_after, last)
        self._index = index
        self._changes = changes
        self._name = name
        self._is_closed = False

    @property
    def begins_after(self) -> int:
        return self._begins_after

    def close(self) -> None:
        self._is_closed = True
        self._changes.happened()

    def __iter__(self) -> Iterator[Event]:
        seen, told = self._changes.wait(-1, 0), self._begins_after
        moment: object | None = None
        while not self._is_closed:
            now = self._index.moment()
            if now is None or now != moment:
                for event in self._events(told):
                    if self._is_closed:
                        return
                    told = event.sequence
                    if self._name in ("", event.name):
                        yield event
                moment = now
            seen = self._changes.wait(seen, _POLL_S)

    def _events(self, told: int) -> Iterator[Event]:
        """All events after the one numbered `told`; raises EventUnknown unless they follow it."""
        while batch := self._index.events(told, _BATCH):
            for event in batch:
                if event.sequence != told + 1:
                    raise refusals.no_event(told + 1, event.sequence)
                told = event.sequence
                yield event
        last = self._index.last_sequence()
        if told > last:
            raise refusals.no_event(told, last)
