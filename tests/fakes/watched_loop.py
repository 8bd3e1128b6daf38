"""An event loop that notes what holds it for too long, and for which rpc.

It counts the processor's time of its own thread, which a busy machine does not lengthen. It does not see what
other threads do meanwhile, though they may keep the interpreter's lock.
"""

import asyncio
import contextvars
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from parfocal.rpc import current_call

MOST_S = 0.05


@dataclass(frozen=True, slots=True)
class Hold:
    """One callback that computed for `seconds`; `rpc` is the method of the rpc that it belonged to."""

    seconds: float
    rpc: str
    callback: str


class WatchedLoop(asyncio.SelectorEventLoop):
    """Notes in `holds` every callback, step of a task or reader of a socket that computed for too long."""

    def __init__(self, most_s: float = MOST_S) -> None:
        super().__init__()
        self.holds: list[Hold] = []
        self._most_s = most_s

    def call_soon(  # type: ignore[override]  # the types of arguments are not followed here
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon(self._timed, callback, *args, context=context)

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon_threadsafe(self._timed, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return super().call_at(when, self._timed, callback, *args, context=context)

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        super().add_reader(fd, self._timed, callback, *args)

    def _timed(self, callback: Callable[..., object], *args: Any) -> None:
        begun = time.thread_time()
        try:
            callback(*args)
        finally:
            seconds = time.thread_time() - begun
            if seconds > self._most_s:
                self.holds.append(Hold(seconds, current_call().method, repr(callback)))


@contextmanager
def no_collections() -> Iterator[None]:
    """Keeps Python's garbage collector out of the measured time: how long it takes depends on other tests."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
