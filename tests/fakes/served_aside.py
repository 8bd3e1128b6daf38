"""A faked server in a thread of its own, for whoever blocks while it answers."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from fakes.serving import Served, serving
from fakes.tokenizer import ALTERNATE
from parfocal.rpc import Guard, Service

T = TypeVar("T")


@contextlib.contextmanager
def served_aside(
    chat_template: str | None = ALTERNATE,
    *beside: Service,
    port: int = 0,
    context_tokens: int = 64,
    loop: asyncio.AbstractEventLoop | None = None,
    guard: Guard = Guard(),  # noqa: B008  # frozen
) -> Iterator[Served]:
    """Yields what `serving` serves, on `loop` if one is given; it has ended when the scope is left."""
    scope = serving(chat_template, *beside, port=port, context_tokens=context_tokens, guard=guard)
    with aside(scope, loop) as served:
        yield served


@contextlib.contextmanager
def aside(
    scope: AbstractAsyncContextManager[T], loop: asyncio.AbstractEventLoop | None = None
) -> Iterator[T]:
    """Yields what an asynchronous scope yields, on `loop` if one is given, while the scope lasts."""
    ready, done, found = threading.Event(), threading.Event(), list[T]()

    async def serve() -> None:
        async with scope as served:
            found.append(served)
            ready.set()
            await asyncio.to_thread(done.wait)

    def run() -> None:
        with asyncio.Runner(loop_factory=None if loop is None else lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        done.set()
        thread.join()
