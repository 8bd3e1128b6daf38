"""Carries what the engine's thread has to say to the event loop that reads it."""

import asyncio
import contextlib
from collections import deque

from parfocal.engine.request import Delta


class Post:
    """Carries items from the engine's thread to an event loop's queues, and wakes the loop once for many.

    A step has an item for each row; a wake for each would give the interpreter's lock away as often.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._items: deque[tuple[asyncio.Queue[Delta | Exception], Delta | Exception]] = deque()
        self._woken = False

    def send(self, queue: "asyncio.Queue[Delta | Exception]", item: Delta | Exception) -> None:
        """Delivers an item, in order; a closed loop has nobody left to read it."""
        self._items.append((queue, item))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Before the first look: what is sent after the last look must wake the loop again.
        self._woken = False
        while self._items:
            queue, item = self._items.popleft()
            queue.put_nowait(item)
