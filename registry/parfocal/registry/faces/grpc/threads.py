"""Threads for calls that block, awaited from an event loop. Knows none of the calls."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """At most `count` calls at a time; more wait in order, and one whose caller goes away is not begun."""

    def __init__(self, count: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)

    def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Returns what `call` returns or raises, to be awaited in the running event loop.

        The call runs in the context of whoever asked for it.
        """
        work = partial(contextvars.copy_context().run, partial(call, *args, **kwargs))
        return asyncio.get_running_loop().run_in_executor(self._executor, work)
