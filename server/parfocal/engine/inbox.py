"""What other threads tell the engine. Messages are values; only the engine's thread reads them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from parfocal.engine.adapters import LoadAdvanced, LoadEnded, PrefetchEnded
from parfocal.engine.request import Delta, Request

Emit = Callable[[Delta | Exception], None]


@dataclass(frozen=True, slots=True)
class Submitted:
    """A checked request; `emit` gets its deltas, or the error that ends it, on the engine's thread."""

    request: Request
    emit: Emit
    arrived: float


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The caller has given the request up."""

    request_id: str


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
        """Yields what has arrived, without waiting."""
        while True:
            try:
                yield self._queue.get_nowait()
            except Empty:
                return

    def wait(self, seconds: float) -> Message | None:
        """Returns the next message, or None if none arrives in time."""
        try:
            return self._queue.get(timeout=seconds)
        except Empty:
            return None
