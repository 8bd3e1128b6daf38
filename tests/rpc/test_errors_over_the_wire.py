"""What a caller sees when an rpc fails, for every kind of rpc, over a real channel."""

import asyncio
import logging
from typing import ClassVar

import grpc
import pytest

from fakes.echo import KINDS, NAME, Echo, call, open_stream, serving
from parfocal.rpc import remote_error


class OutOfStock(Exception):
    """A domain error."""

    status = "FAILED_PRECONDITION"
    reason = "OUT_OF_STOCK"
    metadata: ClassVar = {"shelf": "7"}


async def failure(echo: Echo, rpc: str) -> grpc.aio.AioRpcError:
    """Returns how the rpc fails, once the server has finished with it."""
    async with serving(echo) as (server, channel):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(channel, rpc)
        while server.under_way:
            await asyncio.sleep(0.001)
    return failed.value


@pytest.mark.parametrize("rpc", KINDS)
def test_an_rpc_that_succeeds_is_left_alone(rpc: str) -> None:
    async def scenario() -> list[bytes]:
        async with serving(Echo()) as (_, channel):
            return await call(channel, rpc, b"hello")

    assert asyncio.run(scenario()) == [b"hello"]


@pytest.mark.parametrize("rpc", KINDS)
def test_a_domain_error_becomes_its_status(rpc: str) -> None:
    remote = remote_error(asyncio.run(failure(Echo(OutOfStock("the shelf is empty")), rpc)))

    assert (remote.status, remote.reason) == ("FAILED_PRECONDITION", "OUT_OF_STOCK")
    assert (str(remote), remote.metadata) == ("the shelf is empty", {"shelf": "7"})


@pytest.mark.parametrize("rpc", KINDS)
def test_an_unexpected_error_tells_the_caller_only_an_id(rpc: str, caplog: pytest.LogCaptureFixture) -> None:
    remote = remote_error(asyncio.run(failure(Echo(ValueError("secret path /etc/shadow")), rpc)))

    assert (remote.status, remote.reason) == ("INTERNAL", "INTERNAL")
    assert "secret" not in f"{remote} {remote.metadata}" and "ValueError" not in str(remote)
    assert remote.metadata["error_id"] in str(remote)


@pytest.mark.parametrize("rpc", KINDS)
def test_an_unexpected_error_is_logged_whole_under_its_id(rpc: str, caplog: pytest.LogCaptureFixture) -> None:
    remote = remote_error(asyncio.run(failure(Echo(ValueError("secret path /etc/shadow")), rpc)))

    logged = [record for record in caplog.records if record.name == "parfocal.rpc.outcomes"]
    assert [record.levelno for record in logged] == [logging.ERROR]
    assert (
        remote.metadata["error_id"] in logged[0].getMessage() and f"/{NAME}/{rpc}" in logged[0].getMessage()
    )
    assert "secret path /etc/shadow" in caplog.text


def test_a_domain_error_is_not_logged_as_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(failure(Echo(OutOfStock()), "UnaryUnary"))

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_stream_that_fails_later_keeps_what_it_sent() -> None:
    async def scenario() -> tuple[list[bytes], str]:
        received = []
        async with serving(Echo(OutOfStock(), before_error=3)) as (_, channel):
            try:
                async for reply in open_stream(channel, "UnaryStream"):
                    received.append(reply)
            except grpc.aio.AioRpcError as error:
                return received, remote_error(error).reason
        return received, ""

    assert asyncio.run(scenario()) == ([b"x", b"x", b"x"], "OUT_OF_STOCK")


def test_an_rpc_that_ends_itself_keeps_its_status(caplog: pytest.LogCaptureFixture) -> None:
    error = asyncio.run(failure(Echo(), "Abort"))

    assert (error.code(), error.details()) == (grpc.StatusCode.OUT_OF_RANGE, "the rpc ended itself")
    assert caplog.records == []


def test_an_rpc_that_fails_after_it_ended_itself_keeps_its_status(caplog: pytest.LogCaptureFixture) -> None:
    error = asyncio.run(failure(Echo(OutOfStock()), "AbortAndFail"))

    assert error.code() is grpc.StatusCode.OUT_OF_RANGE
    assert caplog.records == []


def test_an_rpc_that_nobody_wrote_says_so() -> None:
    remote = remote_error(asyncio.run(failure(Echo(), "Placeholder")))

    assert (remote.status, remote.reason) == ("UNIMPLEMENTED", "METHOD_NOT_IMPLEMENTED")


def test_the_rpc_after_a_failed_one_works() -> None:
    async def scenario() -> list[bytes]:
        echo = Echo(ValueError("broken"))
        async with serving(echo) as (_, channel):
            with pytest.raises(grpc.aio.AioRpcError):
                await call(channel, "UnaryUnary")
            echo.error = None
            return await call(channel, "UnaryUnary", b"again")

    assert asyncio.run(scenario()) == [b"again"]


def test_a_caller_that_goes_away_cancels_its_stream() -> None:
    async def scenario() -> bool:
        echo = Echo()
        async with serving(echo) as (server, channel):
            stream = open_stream(channel, "Hold")
            await stream.read()
            stream.cancel()
            await echo.left.wait()
            while server.under_way:
                await asyncio.sleep(0.01)
        return echo.cancelled

    assert asyncio.run(scenario())


def test_cancellation_is_not_logged_as_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        echo = Echo()
        async with serving(echo) as (_, channel):
            stream = open_stream(channel, "Hold")
            await stream.read()
            stream.cancel()
            await echo.left.wait()

    asyncio.run(scenario())

    assert [record for record in caplog.records if record.name.startswith("parfocal")] == []


def test_a_deadline_ends_the_rpc_on_the_server_too() -> None:
    async def scenario() -> grpc.StatusCode:
        echo = Echo()
        async with serving(echo) as (_, channel):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                async for _ in open_stream(channel, "Hold", timeout_s=0.2):
                    pass
            await echo.left.wait()
        return failed.value.code()

    assert asyncio.run(scenario()) is grpc.StatusCode.DEADLINE_EXCEEDED
