"""What other threads tell the engine. Messages are values; only the engine's thread reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from parfocal.engine.adapters import LoadAdvanced, LoadEnded, PrefetchEnded
from parfocal.engine.live import LiveRequest


@dataclass(frozen=True, slots=True)
class Submitted:
    """A request was accepted. From now on only the engine's thread touches it."""

    live: LiveRequest


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller has given the request up."""

    live: LiveRequest


@dataclass(frozen=True, slots=True)
class Wake:
    """Wakes the engine, and says nothing."""


Message = Submitted | Cancelled | LoadAdvanced | LoadEnded | PrefetchEnded | Wake


class Inbox:
    """A queue of messages that any thread may fill."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Message] = SimpleQueue()

    def __len__(self) -> int:
        return self._queue.qsize()

    def post(self, message: Message) -> None:
        """Adds a message; never blocks."""
        self._queue.put(message)

    def read(self) -> Iterator[Message]:
        """Yields what has arrived by now, without waiting.

        What arrives meanwhile is left: callers who answer every end with a new request would hold up steps.
        """
        for _ in range(len(self)):
            yield self._queue.get_nowait()

    def wait(self, seconds: float) -> Message | None:
        """The next message, or None if none arrives in time."""
        try:
            return self._queue.get(timeout=seconds)
        except Empty:
            return None
