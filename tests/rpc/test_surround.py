"""A scope around an rpc is left last, whatever becomes of the rpc. No channel here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest

from parfocal.rpc import Context
from parfocal.rpc.surround import surround


class Slow:
    """A caller who takes no message."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()

    async def write(self, message: bytes) -> None:
        """Waits for ever."""
        self.waits.set()
        await asyncio.Event().wait()


def test_a_stream_that_is_cancelled_while_it_sends_ends_before_its_scope_which_sees_why() -> None:
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def scope(method: str, context: Context) -> AsyncIterator[None]:
        events.append(f"entered {method}")
        try:
            yield
        except asyncio.CancelledError:
            events.append("left the scope, cancelled")
            raise

    async def requests() -> AsyncIterator[bytes]:
        yield b"x"

    async def replies(request: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            yield request
        finally:
            events.append("closed the stream")

    async def scenario() -> None:
        rpc = surround(grpc.unary_stream_rpc_method_handler(replies), "/wire/Stream", scope)
        context = Slow()
        served = asyncio.ensure_future(cast(Any, rpc).stream_stream(requests(), context))
        await context.waits.wait()
        served.cancel()
        with pytest.raises(asyncio.CancelledError):
            await served

    asyncio.run(scenario())

    assert events == ["entered /wire/Stream", "closed the stream", "left the scope, cancelled"]
