"""Rpcs that fail, in whatever way: they leave nothing behind, and their room goes to the next ones."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable

import grpc
import pytest

from fakes.echo import NAME, Echo, call, open_stream, serving
from fakes.wire.kept import OF_AN_RPC, kept
from parfocal.rpc import WireServer
from parfocal.rpc.errors import MessageTooLarge

MOST = 3


class Failing:
    """A server of at most `MOST` rpcs, and every way in which one may fail."""

    def __init__(self, echo: Echo, server: WireServer, channel: grpc.aio.Channel) -> None:
        self.echo = echo
        self.server = server
        self.channel = channel

    async def refused_by_its_handler(self) -> None:
        self.echo.error = MessageTooLarge("it is too large", method="UnaryUnary")
        await self._fails("UnaryUnary", grpc.StatusCode.RESOURCE_EXHAUSTED)

    async def raising(self) -> None:
        self.echo.error = RuntimeError("a fault of the server's")
        for rpc in ("UnaryUnary", "StreamUnary", "StreamStream", "Written"):
            await self._fails(rpc, grpc.StatusCode.INTERNAL)

    async def raising_in_midstream(self) -> None:
        self.echo.error = RuntimeError("a fault of the server's")
        self.echo.before_error = 2
        await self._fails("UnaryStream", grpc.StatusCode.INTERNAL)

    async def aborted_by_its_handler(self) -> None:
        await self._fails("Abort", grpc.StatusCode.OUT_OF_RANGE)

    async def unreadable(self) -> None:
        await self._fails("UnaryUnary", grpc.StatusCode.INVALID_ARGUMENT, request=b"\x1f\x8bno gzip")

    async def unknown(self) -> None:
        await self._fails("Nothing", grpc.StatusCode.UNIMPLEMENTED)

    async def not_implemented(self) -> None:
        await self._fails("Placeholder", grpc.StatusCode.UNIMPLEMENTED)

    async def without_room(self) -> None:
        self.server.rpcs.most = 0
        await self._fails("UnaryUnary", grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.server.rpcs.most = MOST

    async def cancelled(self) -> None:
        stream = open_stream(self.channel, "Hold")
        await stream.read()
        stream.cancel()
        await self.echo.left.wait()
        self.echo.left.clear()

    async def past_its_deadline(self) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await self.channel.unary_unary(f"/{NAME}/HoldUnary", None, None)(b"x", timeout=0.01)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def past_its_deadline_in_midstream(self) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            assert [reply async for reply in open_stream(self.channel, "HoldForEver", timeout_s=0.02)]
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def _fails(self, rpc: str, code: grpc.StatusCode, request: bytes = b"x") -> None:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(self.channel, rpc, request)
        assert failed.value.code() is code


Way = Callable[[Failing], Awaitable[None]]
WAYS = [way for name, way in vars(Failing).items() if not name.startswith("_")]

in_each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


@in_each_way
def test_an_rpc_that_failed_is_held_by_nothing(way: Way) -> None:
    async def scenario() -> Counter[str]:
        echo = Echo()
        async with serving(echo) as (server, channel):
            return await kept(OF_AN_RPC, lambda: way(Failing(echo, server, channel)))

    assert asyncio.run(scenario()) == {}


@in_each_way
def test_rpcs_that_failed_have_given_their_room_back(way: Way) -> None:
    async def scenario() -> list[object]:
        echo = Echo()
        async with serving(echo, max_rpcs=MOST) as (server, channel):
            for _ in range(3 * MOST):
                await way(Failing(echo, server, channel))
            echo.error = None
            async with contextlib.AsyncExitStack() as stack:
                held = [open_stream(channel, "Hold") for _ in range(MOST)]
                for stream in held:
                    stack.callback(stream.cancel)
                return [await stream.read() for stream in held]

    assert asyncio.run(scenario()) == [b"x"] * MOST
