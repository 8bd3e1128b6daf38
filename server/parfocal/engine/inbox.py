"""What other threads tell the engine. Messages are values; only the engine's thread reads them."""

import contextlib
import threading
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
        # Free once something was posted. The queue's own wait may last for ever when given microseconds:
        # CPython 3.11 takes a time that runs out within the call for none.
        self._posted = threading.Lock()

    def __len__(self) -> int:
        return self._queue.qsize()

    def post(self, message: Message) -> None:
        """Adds a message; never blocks."""
        self._queue.put(message)
        with contextlib.suppress(RuntimeError):  # it is free already
            self._posted.release()

    def read(self) -> Iterator[Message]:
        """Yields what has arrived by now, without waiting.

        What arrives meanwhile is left: callers who answer every end with a new request would hold up steps.
        """
        for _ in range(len(self)):
            yield self._queue.get_nowait()

    def wait(self, seconds: float) -> Message | None:
        """The next message, or None if none arrives in time."""
        self._posted.acquire(blocking=False)  # it may be free for what has been read since
        message = self._next()
        if message is None and self._posted.acquire(timeout=max(0.0, seconds)):
            message = self._next()
        return message

    def _next(self) -> Message | None:
        try:
            return self._queue.get_nowait()
        except Empty:
            return None
