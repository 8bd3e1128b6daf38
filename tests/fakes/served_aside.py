"""A faked server in a thread of its own, for whoever blocks while it answers."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from fakes.serving import Served, serving
from fakes.tokenizer import ALTERNATE
from parfocal.rpc import Service


@contextlib.contextmanager
def served_aside(chat_template: str | None = ALTERNATE, *beside: Service, port: int = 0) -> Iterator[Served]:
    """Yields what `serving` serves; it has ended when the scope is left."""
    ready, done, found = threading.Event(), threading.Event(), []

    async def serve() -> None:
        async with serving(chat_template, *beside, port=port) as served:
            found.append(served)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        done.set()
        thread.join()
