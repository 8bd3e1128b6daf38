"""A server that is told to stop finishes what it has, takes nothing new, and says so."""

import asyncio
import logging
import os
import signal
from typing import TypeVar, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.echo import NAME, Echo, call, open_stream, serving
from parfocal.rpc import remote_error

T = TypeVar("T")
LONG_S = 60.0


async def held_stream(channel: grpc.aio.Channel) -> "grpc.aio.UnaryStreamCall[bytes, bytes]":
    """Returns a stream that has sent its first reply and waits for the echo's release."""
    stream = open_stream(channel, "Hold")
    assert await stream.read() == b"x"
    return stream


async def rest_of(stream: "grpc.aio.UnaryStreamCall[bytes, T]") -> list[T]:
    """Returns the replies that are still to come."""
    rest: list[T] = []
    while (reply := await stream.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]  # the stubs lack it
        rest.append(cast(T, reply))
    return rest


async def drain_begun(channel: grpc.aio.Channel) -> None:
    """Returns once the server says that it is not serving."""
    stub = health_pb2_grpc.HealthStub(channel)
    async for reply in stub.Watch(health_pb2.HealthCheckRequest(service=NAME)):
        if reply.status == health_pb2.HealthCheckResponse.NOT_SERVING:
            return


def test_a_stream_under_way_finishes_while_the_server_drains() -> None:
    async def scenario() -> tuple[list[bytes], grpc.StatusCode]:
        echo = Echo()
        async with serving(echo) as (server, channel):
            stream = await held_stream(channel)
            draining = asyncio.create_task(server.drain(LONG_S))
            await drain_begun(channel)
            echo.released.set()
            rest = await rest_of(stream)
            await draining
            return rest, await stream.code()

    assert asyncio.run(scenario()) == ([b"x"], grpc.StatusCode.OK)


def test_the_last_reply_arrives_whole_before_the_server_is_gone() -> None:
    large = bytes(1024 * 1024)

    async def scenario() -> list[bytes]:
        echo = Echo()
        async with serving(echo) as (server, channel):
            reply = asyncio.create_task(call(channel, "HoldUnary", large))
            await echo.entered.wait()
            draining = asyncio.create_task(server.drain(LONG_S))
            echo.released.set()
            await draining
            return await reply

    assert asyncio.run(scenario()) == [large]


def test_an_endless_rpc_ends_when_the_server_drains_and_the_others_go_on() -> None:
    async def scenario() -> tuple[str, list[bytes]]:
        echo = Echo()
        async with serving(echo) as (server, channel):
            stream, endless = await held_stream(channel), open_stream(channel, "HoldForEver")
            assert await endless.read() == b"x"
            draining = asyncio.create_task(server.drain(LONG_S))
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await rest_of(endless)
            assert not draining.done()
            echo.released.set()
            rest = await rest_of(stream)
            await draining
        return remote_error(failed.value).reason, rest

    assert asyncio.run(scenario()) == ("DRAINING", [b"x"])


def test_endless_rpcs_alone_do_not_hold_up_a_drain() -> None:
    async def scenario() -> None:
        async with serving(Echo()) as (server, channel):
            endless = [open_stream(channel, "HoldForEver") for _ in range(10)]
            for each in endless:
                assert await each.read() == b"x"
            await asyncio.wait_for(server.drain(LONG_S), LONG_S / 2)

    asyncio.run(scenario())


def test_a_caller_of_an_endless_rpc_may_leave() -> None:
    async def scenario() -> int:
        echo = Echo()
        async with serving(echo) as (server, channel):
            endless = open_stream(channel, "HoldForEver")
            assert await endless.read() == b"x"
            endless.cancel()
            await asyncio.wait_for(server.drain(LONG_S), LONG_S / 2)
            return server.under_way

    assert asyncio.run(scenario()) == 0


def test_a_health_watch_ends_with_the_server() -> None:
    async def scenario() -> str:
        async with serving(Echo()) as (server, channel):
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            await watch.read()
            await server.drain(LONG_S)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await rest_of(watch)
        return remote_error(failed.value).reason

    assert asyncio.run(scenario()) == "DRAINING"


def test_a_new_rpc_is_refused_while_the_server_drains() -> None:
    async def scenario() -> tuple[str, str]:
        echo = Echo()
        async with serving(echo) as (server, channel):
            stream = await held_stream(channel)
            draining = asyncio.create_task(server.drain(LONG_S))
            await drain_begun(channel)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(channel, "UnaryUnary")
            echo.released.set()
            await rest_of(stream)
            await draining
        remote = remote_error(failed.value)
        return remote.status, remote.reason

    assert asyncio.run(scenario()) == ("UNAVAILABLE", "DRAINING")


def test_what_outlives_the_grace_is_cut_off_and_told_why() -> None:
    async def scenario() -> tuple[bool, int, str]:
        echo = Echo()
        async with serving(echo) as (server, channel):
            stream = await held_stream(channel)
            await server.drain(0.05)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await rest_of(stream)
            return echo.cancelled, server.under_way, remote_error(failed.value).reason

    assert asyncio.run(scenario()) == (True, 0, "DRAINING")


def test_nothing_listens_after_a_drain() -> None:
    async def scenario() -> grpc.StatusCode:
        async with serving(Echo()) as (server, channel):
            await server.drain(LONG_S)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(channel, "UnaryUnary")
        return failed.value.code()

    assert asyncio.run(scenario()) is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(number: signal.Signals) -> None:
    async def scenario() -> list[bytes]:
        echo = Echo()
        async with serving(echo) as (server, channel):
            running = asyncio.create_task(server.run_until_terminated(LONG_S))
            stream = await held_stream(channel)
            os.kill(os.getpid(), number)
            await drain_begun(channel)
            echo.released.set()
            rest = await rest_of(stream)
            await running
            return rest

    assert asyncio.run(scenario()) == [b"x"]


def test_a_second_signal_stops_at_once() -> None:
    async def scenario() -> bool:
        echo = Echo()
        async with serving(echo) as (server, channel):
            running = asyncio.create_task(server.run_until_terminated(LONG_S))
            stream = await held_stream(channel)
            os.kill(os.getpid(), signal.SIGTERM)
            await drain_begun(channel)
            os.kill(os.getpid(), signal.SIGTERM)
            await running
            with pytest.raises(grpc.aio.AioRpcError):
                await rest_of(stream)
            return echo.cancelled

    assert asyncio.run(scenario())


def test_signals_mean_what_they_meant_before_once_the_server_has_stopped() -> None:
    async def scenario() -> None:
        async with serving(Echo()) as (server, _):
            running = asyncio.create_task(server.run_until_terminated(LONG_S))
            await asyncio.sleep(0)
            server.terminate()
            await running
            assert signal.getsignal(signal.SIGTERM) == before

    before = signal.getsignal(signal.SIGTERM)

    asyncio.run(scenario())


def test_stopping_is_not_logged_as_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with serving(Echo()) as (server, channel):
            stream = await held_stream(channel)
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            await watch.read()
            await server.stop()
            stream.cancel()

    asyncio.run(scenario())

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
