"""A scope around an rpc is left last, whatever becomes of the rpc. No channel here."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import grpc

from parfocal.rpc import Context
from parfocal.rpc.surround import surround


def test_a_stream_that_is_abandoned_between_replies_ends_before_its_scope() -> None:
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def scope(method: str, context: Context) -> AsyncIterator[None]:
        events.append(f"entered {method}")
        try:
            yield
        finally:
            events.append("left the scope")

    async def requests() -> AsyncIterator[bytes]:
        yield b"x"

    async def replies(request: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            yield request
        finally:
            events.append("closed the stream")

    async def scenario() -> None:
        rpc = surround(grpc.unary_stream_rpc_method_handler(replies), "/wire/Stream", scope)
        stream = cast(AsyncGenerator[bytes, None], cast(Any, rpc).stream_stream(requests(), None))
        assert await anext(stream) == b"x"
        await stream.aclose()

    asyncio.run(scenario())

    assert events == ["entered /wire/Stream", "closed the stream", "left the scope"]
