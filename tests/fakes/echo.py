"""A service of bytes with an rpc of each kind that echoes, waits or fails as a test says. Needs no proto."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from parfocal.rpc import Context, Service, WireServer, endless, open_channel

NAME = "parfocal.test.Echo"
KINDS = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream", "Written")


class Echo:
    """Echoes what it gets. Every rpc raises `error`, if any; `UnaryStream` after `before_error` replies.

    `Hold` replies once, waits for `released` and replies again; `left` is set when it ends in any way.
    `HoldForEver` replies once and waits until its caller leaves; `HoldUnary` waits, then replies. `Pour`
    replies for ever, with more than anybody holds who does not read.
    """

    def __init__(self, error: BaseException | None = None, before_error: int = 0) -> None:
        self.error = error
        self.before_error = before_error
        self.entered = asyncio.Event()
        self.released = asyncio.Event()
        self.left = asyncio.Event()
        self.cancelled = False

    async def unary_unary(self, request: bytes, context: Context) -> bytes:
        self._fail()
        return request

    async def unary_stream(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        for _ in range(self.before_error):
            yield request
        self._fail()
        yield request

    async def stream_unary(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        received = [request async for request in requests]
        self._fail()
        return b"".join(received)

    async def stream_stream(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            self._fail()
            yield request

    async def written(self, request: bytes, context: Context) -> None:
        self._fail()
        await context.write(request)

    async def hold(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        self.entered.set()
        try:
            yield request
            await self.released.wait()
            yield request
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            self.left.set()

    @endless
    async def hold_for_ever(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        yield request
        await asyncio.Event().wait()

    async def pour(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        while True:
            yield request * (64 << 10)

    async def hold_unary(self, request: bytes, context: Context) -> bytes:
        self.entered.set()
        await self.released.wait()
        return request

    async def abort(self, request: bytes, context: Context) -> bytes:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "the rpc ended itself")
        return b""

    async def abort_and_fail(self, request: bytes, context: Context) -> bytes:
        try:
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, "the rpc ended itself")
        finally:
            self._fail()
        return b""

    def placeholder(self, request: bytes, context: Context) -> bytes:
        raise NotImplementedError("Method not implemented!")

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


def add_echo(servicer: Echo, server: grpc.aio.Server) -> None:
    """Registers the rpcs, as a generated `add_XServicer_to_server` does."""
    rpcs: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "UnaryUnary": grpc.unary_unary_rpc_method_handler(servicer.unary_unary),
        "UnaryStream": grpc.unary_stream_rpc_method_handler(servicer.unary_stream),
        "StreamUnary": grpc.stream_unary_rpc_method_handler(servicer.stream_unary, bytes),
        "StreamStream": grpc.stream_stream_rpc_method_handler(servicer.stream_stream),
        "Written": grpc.unary_stream_rpc_method_handler(servicer.written),
        "Hold": grpc.unary_stream_rpc_method_handler(servicer.hold),
        "HoldForEver": grpc.unary_stream_rpc_method_handler(servicer.hold_for_ever),
        "Pour": grpc.unary_stream_rpc_method_handler(servicer.pour),
        "HoldUnary": grpc.unary_unary_rpc_method_handler(servicer.hold_unary),
        "Abort": grpc.unary_unary_rpc_method_handler(servicer.abort),
        "AbortAndFail": grpc.unary_unary_rpc_method_handler(servicer.abort_and_fail),
        "Placeholder": grpc.unary_unary_rpc_method_handler(servicer.placeholder),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(NAME, rpcs)])


@contextlib.asynccontextmanager
async def serving(
    echo: Echo, max_rpcs: int | None = None, max_connections: int | None = None
) -> AsyncIterator[tuple[WireServer, grpc.aio.Channel]]:
    """Yields a started server of the echo on a free port of the loopback, and a channel to it."""
    services = [Service(add_echo, echo, NAME)]
    server = WireServer("127.0.0.1:0", services, max_rpcs=max_rpcs, max_connections=max_connections)
    await server.start()
    try:
        async with open_channel(f"127.0.0.1:{server.port}") as channel:
            yield server, channel
    finally:
        await server.stop()


def open_stream(
    channel: grpc.aio.Channel, rpc: str, request: bytes = b"x", timeout_s: float | None = None
) -> "grpc.aio.UnaryStreamCall[bytes, bytes]":
    """Returns the running call of an rpc that streams its replies."""
    return channel.unary_stream(f"/{NAME}/{rpc}", None, None)(request, timeout=timeout_s)


# What grpc.aio makes up itself where an rpc has ended before its message was sent: no server said so.
_SENT_TOO_LATE = "Internal error from Core"


async def call(channel: grpc.aio.Channel, rpc: str, request: bytes = b"x") -> list[bytes]:
    """The replies of one rpc of the echo, whatever its kind. Raises grpc.aio.AioRpcError from a server."""
    while True:
        try:
            return await _call(channel, rpc, request)
        except grpc.aio.AioRpcError as error:
            if error.details() != _SENT_TOO_LATE:
                raise


async def _call(channel: grpc.aio.Channel, rpc: str, request: bytes) -> list[bytes]:
    path = f"/{NAME}/{rpc}"
    match rpc:
        case "UnaryStream" | "Written" | "Hold":
            return [reply async for reply in open_stream(channel, rpc, request)]
        case "StreamUnary":
            return [await channel.stream_unary(path, None, None)(iter([request]))]
        case "StreamStream":
            return [reply async for reply in channel.stream_stream(path, None, None)(iter([request]))]
        case _:
            return [await channel.unary_unary(path, None, None)(request)]
