"""Threads for calls that block, awaited from an event loop. Knows none of the calls."""

import asyncio
import contextlib
import contextvars
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


_LESS_URGENT = 10


class Threads:
    """At most `count` calls at a time; more wait in order, and one whose caller goes away is not begun.

    Those that are `patient` leave the processor to others, where the system tells threads apart.
    """

    def __init__(self, count: int, name: str, patient: bool = False) -> None:
        begin = _become_patient if patient and sys.platform == "linux" else None
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name, initializer=begin)

    def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Returns what `call` returns or raises, to be awaited in the running event loop.

        The call runs in the context of whoever asked for it.
        """
        work = partial(contextvars.copy_context().run, partial(call, *args, **kwargs))
        return asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def open(self, path: Path) -> BinaryIO:
        """Opens a file to read; raises OSError. It is closed if the reader leaves while it opens."""
        opening: asyncio.Future[BinaryIO] = asyncio.ensure_future(self(path.open, "rb"))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unread)
            raise


def _close_unread(opening: asyncio.Future[BinaryIO]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def to_the_end(work: Awaitable[T]) -> T:
    """Returns the result of `work` in a thread, which is waited for even when the caller goes away.

    Its files must not be removed while it runs.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
    finally:
        # What failed holds its error, whose traceback holds this frame and all that the thread had read.
        del task, work


def _become_patient() -> None:
    """Lowers the priority of this thread alone: Linux takes a thread's number for a process's."""
    with contextlib.suppress(OSError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(os.getpriority(os.PRIO_PROCESS, thread), _LESS_URGENT))
