"""What a caller's connection does to a request: whoever leaves ends it, and reads events while it lasts."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from parfocal.server.faces.openai.bodies import CallerLeft

T = TypeVar("T")

_DONE = b"data: [DONE]\n\n"
# Proxies cut connections on which nothing comes; a comment is no event.
_QUIET_S = 15.0
_PING = b": waiting\n\n"


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """What `work` returns, unless the caller leaves first: then it is cancelled, and CallerLeft raised."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise CallerLeft("the caller left before the answer was complete")
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)
        # What the work raised has this frame, and must not be held by it: a cycle would keep the request.
        del working, leaving, task


class EventStream(Response):
    """Server-sent events, each an encoded object, as OpenAI's clients read them; the last one says DONE.

    What is admitted runs already, so what is refused is still a status. `ended` is called when nothing is
    read any more, whoever caused that.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[bytes],
        headers: Mapping[str, str],
        ended: Callable[[], None],
    ) -> None:
        super().__init__(headers={**headers, "cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends head, events and the end."""
        head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        try:
            await send(head)
            await while_connected(receive, self._sent(send))
            await send({"type": "http.response.body", "body": _DONE})
        finally:
            self._ended()

    async def _sent(self, send: Send) -> None:
        async for event in _pinged(self._events):
            await send({"type": "http.response.body", "body": event, "more_body": True})


async def _pinged(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    upcoming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            await asyncio.wait({upcoming}, timeout=_QUIET_S)
            if not upcoming.done():
                yield _PING
                continue
            event = upcoming.result()
            if event is None:
                return
            yield b"data: " + event + b"\n\n"
            upcoming = asyncio.ensure_future(anext(events, None))
    finally:
        upcoming.cancel()
        await asyncio.gather(upcoming, return_exceptions=True)
        del upcoming  # as in while_connected


def encoded(reply: Mapping[str, Any]) -> bytes:
    """An object of JSON, on one line."""
    return json.dumps(reply, ensure_ascii=False, separators=(",", ":")).encode()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
