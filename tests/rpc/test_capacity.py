"""A server takes so many rpcs and no more; what it refuses costs nothing and says what to do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.echo import NAME, Echo, add_echo, call, open_stream, serving
from parfocal.rpc import (
    Context,
    FirstMessageLate,
    MessageMissing,
    RemoteError,
    Room,
    Service,
    WireServer,
    open_channel,
    remote_error,
)
from parfocal.rpc.access import ANYBODY
from parfocal.rpc.admission import AdmissionInterceptor
from parfocal.rpc.outcomes import OutcomeInterceptor
from parfocal.rpc.surround import surround

MOST = 3


async def refusal_of(channel: grpc.aio.Channel, rpc: str) -> RemoteError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(channel, rpc)
    return remote_error(failed.value)


async def until(happens: Callable[[], bool]) -> None:
    """Returns when `happens` returns true: a server notices the end of an rpc a moment later."""
    async with asyncio.timeout(30):
        while not happens():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("rpc", ["UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream", "Written"])
def test_an_rpc_of_any_kind_beyond_the_limit_is_refused_with_advice(rpc: str) -> None:
    async def scenario() -> RemoteError:
        async with serving(Echo(), max_rpcs=MOST) as (server, channel):
            held = [open_stream(channel, "Hold") for _ in range(MOST)]
            for stream in held:
                await stream.read()
            refused = await refusal_of(channel, rpc)
            assert (server.rpcs.taken, server.rpcs.refused) == (MOST, 1)
            return refused

    refused = asyncio.run(scenario())

    assert (refused.status, refused.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_RPCS")
    assert refused.retry_after_s == 1.0
    assert "--max-rpcs" in refused.message
    assert refused.metadata["limit"] == str(MOST)


@pytest.mark.parametrize("ends", ["answered", "cancelled"])
def test_an_rpc_that_ends_makes_room_for_the_next(ends: str) -> None:
    async def scenario() -> list[bytes]:
        echo = Echo()
        async with serving(echo, max_rpcs=1) as (server, channel):
            stream = open_stream(channel, "Hold")
            await stream.read()
            if ends == "answered":
                echo.released.set()
            else:
                stream.cancel()
            await until(lambda: server.rpcs.taken == 0)
            return await call(channel, "UnaryUnary")

    assert asyncio.run(scenario()) == [b"x"]


def test_an_rpc_that_fails_makes_room_for_the_next() -> None:
    async def scenario() -> list[bytes]:
        echo = Echo(ValueError("the rpc fails"))
        async with serving(echo, max_rpcs=1) as (server, channel):
            assert (await refusal_of(channel, "UnaryUnary")).status == "INTERNAL"
            await until(lambda: server.rpcs.taken == 0)
            echo.error = None
            return await call(channel, "UnaryUnary")

    assert asyncio.run(scenario()) == [b"x"]


def test_a_caller_that_opens_an_rpc_and_sends_nothing_takes_room_until_it_goes() -> None:
    async def scenario() -> tuple[str, list[bytes]]:
        async with serving(Echo(), max_rpcs=1) as (server, channel):
            silent = channel.stream_unary(f"/{NAME}/UnaryUnary", None, None)(nothing())
            await until(lambda: server.rpcs.taken == 1)
            refused = await refusal_of(channel, "UnaryUnary")
            silent.cancel()
            await until(lambda: server.rpcs.taken == 0)
            return refused.reason, await call(channel, "UnaryUnary")

    assert asyncio.run(scenario()) == ("TOO_MANY_RPCS", [b"x"])


def test_a_connection_beyond_the_limit_is_closed() -> None:
    async def scenario() -> tuple[str, list[bytes]]:
        async with serving(Echo(), max_connections=1) as (server, first):
            await call(first, "UnaryUnary")
            own = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", own) as second:
                refused = await refusal_of(second, "UnaryUnary")
            return refused.status, await call(first, "UnaryUnary")

    assert asyncio.run(scenario()) == ("UNAVAILABLE", [b"x"])


def test_a_full_server_answers_probes() -> None:
    async def scenario() -> int:
        async with serving(Echo(), max_rpcs=1) as (_, channel):
            stream = open_stream(channel, "Hold")
            await stream.read()
            reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            return int(reply.status)

    assert asyncio.run(scenario()) == health_pb2.HealthCheckResponse.SERVING


def test_a_service_with_room_of_its_own_leaves_the_rest_to_others() -> None:
    async def scenario() -> tuple[RemoteError, list[bytes]]:
        echo, room = Echo(), Room(1, "max_registry_rpcs")
        other = "parfocal.test.Other"
        server = WireServer(
            "127.0.0.1:0",
            [Service(add_echo, echo, NAME, room), Service(_add_other, Echo(), other)],
            max_rpcs=2,
        )
        await server.start()
        try:
            async with open_channel(f"127.0.0.1:{server.port}") as channel:
                held = open_stream(channel, "Hold")
                await held.read()
                refused = await refusal_of(channel, "UnaryUnary")
                assert server.rpcs.taken == 1
                return refused, [await channel.unary_unary(f"/{other}/UnaryUnary", None, None)(b"y")]
        finally:
            await server.stop()

    refused, answer = asyncio.run(scenario())

    assert "--max-registry-rpcs" in refused.message
    assert answer == [b"y"]


def _add_other(servicer: Echo, server: grpc.aio.Server) -> None:
    rpcs = {"UnaryUnary": grpc.unary_unary_rpc_method_handler(servicer.unary_unary)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("parfocal.test.Other", rpcs)])


@contextlib.asynccontextmanager
async def no_scope(method: str, context: Context) -> AsyncIterator[None]:
    yield


async def nothing() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def no_message() -> AsyncIterator[bytes]:
    if asyncio.current_task() is None:
        yield b""


def test_a_first_message_that_does_not_come_in_time_ends_the_rpc() -> None:
    """For rpcs that take one message and for those that take many."""
    echo = Echo()
    one = surround(grpc.unary_unary_rpc_method_handler(echo.unary_unary), "/a/One", no_scope, 0.01)
    many = surround(
        grpc.stream_unary_rpc_method_handler(echo.stream_unary, bytes, bytes), "/a/Many", no_scope, 0.01
    )

    for rpc in (one, many):
        with pytest.raises(FirstMessageLate, match=r"within 0\.01 s of the call of /a/"):
            asyncio.run(cast(Any, rpc).stream_unary(nothing(), None))


def test_an_rpc_that_takes_a_message_and_gets_none_is_refused() -> None:
    rpc = surround(grpc.unary_unary_rpc_method_handler(Echo().unary_unary), "/a/One", no_scope)

    with pytest.raises(MessageMissing, match="/a/One was called without a message"):
        asyncio.run(cast(Any, rpc).stream_unary(no_message(), None))


class Loud:
    """Sends as much as no window of flow control holds, at once or in pieces."""

    async def whole(self, request: bytes, context: Context) -> bytes:
        return bytes(8 << 20)

    async def pieces(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 20)


@contextlib.asynccontextmanager
async def loud(send_s: float) -> AsyncIterator[tuple[Room, grpc.aio.Channel]]:
    """The room that a server takes whose callers must read so fast, and a channel to it."""
    rpcs = Room(10, "max_rpcs")
    admission = AdmissionInterceptor(rpcs, Room(10, ""), send_s)
    admission.opened({})
    server = grpc.aio.server(interceptors=[OutcomeInterceptor(ANYBODY), admission])
    handlers = {
        "Whole": grpc.unary_unary_rpc_method_handler(Loud().whole),
        "Pieces": grpc.unary_stream_rpc_method_handler(Loud().pieces),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(NAME, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            yield rpcs, channel
    finally:
        await server.stop(0)


@pytest.mark.parametrize("rpc", ["Whole", "Pieces"])
def test_a_caller_who_reads_nothing_keeps_no_place(rpc: str) -> None:
    async def scenario() -> list[bytes]:
        async with loud(send_s=0.4) as (rpcs, channel):
            unread = open_stream(channel, rpc)
            await until(lambda: rpcs.taken == 1)
            await until(lambda: rpcs.taken == 0)
            unread.cancel()
            return [piece async for piece in open_stream(channel, rpc)]

    assert sum(map(len, asyncio.run(scenario()))) >= 8 << 20


def test_a_caller_who_reads_on_too_late_is_told_so() -> None:
    async def scenario() -> RemoteError:
        async with loud(send_s=0.4) as (rpcs, channel):
            stopped = open_stream(channel, "Pieces")
            await until(lambda: rpcs.taken == 1)
            await until(lambda: rpcs.taken == 0)
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                async for _ in stopped:
                    pass
            return remote_error(ended.value)

    ended = asyncio.run(asyncio.wait_for(scenario(), 60))

    assert (ended.status, ended.reason) == ("DEADLINE_EXCEEDED", "READER_LATE")
    assert str(ended).startswith("no message was taken for 0.4 s; read on")


def test_a_caller_who_reads_on_gets_everything_however_long_it_takes() -> None:
    async def scenario() -> int:
        async with loud(send_s=0.5) as (_, channel):
            read = 0
            async for piece in open_stream(channel, "Pieces"):
                read += len(piece)
                await asyncio.sleep(0.02)
            return read

    assert asyncio.run(scenario()) == 64 << 20
