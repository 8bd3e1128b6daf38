"""The log's line about each rpc, over a real channel."""

import asyncio
import logging

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.echo import KINDS, NAME, Echo, call, open_stream, serving
from parfocal.rpc import Context, current_call, remote_error


class DomainFault(Exception):
    """A domain error with the status that a test gives it."""

    reason = "BROKEN_ON_PURPOSE"

    def __init__(self, status: str) -> None:
        super().__init__("the disk lost it")
        self.status = status


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "parfocal")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str, dict[str, object]]]:
    """Returns level, message and facts of every line about an rpc."""
    return [
        (record.levelno, record.getMessage(), vars(record)["facts"])
        for record in caplog.records
        if record.name == "parfocal.access"
    ]


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[tuple[object, str]]:
    """Returns the request id and the exception of every fault that was logged whole."""
    return [
        (vars(record)["facts"]["request_id"], str(record.exc_info[1]))
        for record in caplog.records
        if record.levelno == logging.ERROR and record.exc_info
    ]


async def ended(echo: Echo, rpc: str) -> grpc.aio.AioRpcError | None:
    """Returns how the rpc failed, if it did, once the server has finished with it."""
    async with serving(echo) as (server, channel):
        try:
            await call(channel, rpc)
        except grpc.aio.AioRpcError as error:
            return error
        finally:
            while server.under_way:
                await asyncio.sleep(0.001)
    return None


@pytest.mark.parametrize("rpc", KINDS)
def test_every_rpc_has_one_line(rpc: str, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(ended(Echo(), rpc))

    [(level, message, facts)] = lines(caplog)
    assert (level, message, facts["status"]) == (logging.INFO, f"{NAME}/{rpc}", "OK")
    assert list(facts) == ["request_id", "status", "total_s", "peer"]
    assert str(facts["peer"]).startswith("ipv4:127.0.0.1:") and float(str(facts["total_s"])) >= 0


@pytest.mark.parametrize("rpc", KINDS)
def test_a_refused_rpc_says_why_without_a_traceback(rpc: str, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(ended(Echo(DomainFault("NOT_FOUND")), rpc))

    [(level, _, facts)] = lines(caplog)
    assert (level, facts["status"], facts["reason"]) == (logging.INFO, "NOT_FOUND", "BROKEN_ON_PURPOSE")
    assert tracebacks(caplog) == []


@pytest.mark.parametrize("status", ["INTERNAL", "DATA_LOSS", "UNKNOWN"])
def test_a_fault_of_the_server_is_logged_whole_under_its_request(
    status: str, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(ended(Echo(DomainFault(status)), "UnaryStream"))

    [(level, _, facts)] = lines(caplog)
    assert (level, facts["status"]) == (logging.ERROR, status)
    assert tracebacks(caplog) == [(facts["request_id"], "the disk lost it")]


def test_what_a_caller_is_told_of_an_unexpected_error_leads_to_its_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = asyncio.run(ended(Echo(ZeroDivisionError("by zero")), "UnaryUnary"))

    [(_, _, facts)] = lines(caplog)
    assert error is not None
    metadata = remote_error(error).metadata
    assert metadata == {"error_id": facts["error_id"], "request_id": facts["request_id"]}
    assert tracebacks(caplog) == [(facts["request_id"], "by zero")]


def test_an_rpc_that_ended_itself_is_logged_with_its_own_status(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(ended(Echo(), "Abort"))

    assert [facts["status"] for _, _, facts in lines(caplog)] == ["OUT_OF_RANGE"]


@pytest.mark.parametrize(("timeout_s", "status"), [(None, "CANCELLED"), (0.2, "DEADLINE_EXCEEDED")])
def test_a_caller_that_goes_away_is_logged(
    timeout_s: float | None, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        echo = Echo()
        async with serving(echo) as (server, channel):
            stream = open_stream(channel, "Hold", timeout_s=timeout_s)
            await stream.read()
            if timeout_s is None:
                stream.cancel()
            await echo.left.wait()
            while server.under_way:
                await asyncio.sleep(0.001)

    asyncio.run(scenario())

    assert [(level, facts["status"]) for level, _, facts in lines(caplog)] == [(logging.INFO, status)]


def test_an_rpc_that_nobody_serves_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with serving(Echo()) as (_, channel):
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary("/nobody/Knows", None, None)(b"x")

    asyncio.run(scenario())

    assert [(message, facts["status"]) for _, message, facts in lines(caplog)] == [
        ("nobody/Knows", "UNIMPLEMENTED")
    ]


def test_probes_are_logged_for_debugging_only(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with serving(Echo()) as (_, channel):
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())

    asyncio.run(scenario())

    assert [(level, message) for level, message, _ in lines(caplog)] == [
        (logging.DEBUG, "grpc.health.v1.Health/Check")
    ]


def test_a_servicer_adds_to_the_line_of_its_own_rpc(caplog: pytest.LogCaptureFixture) -> None:
    class Telling(Echo):
        """Tells its request as a fact, and waits until both rpcs run."""

        waiting = 0

        async def unary_unary(self, request: bytes, context: Context) -> bytes:
            current_call().request_id = request.decode()
            self.waiting += 1
            while self.waiting < 2:
                await asyncio.sleep(0.001)
            current_call().facts["tokens"] = len(request)
            return request

    async def scenario() -> None:
        async with serving(Telling()) as (_, channel):
            await asyncio.gather(*(call(channel, "UnaryUnary", request) for request in (b"first", b"2nd")))

    asyncio.run(scenario())

    assert sorted((str(facts["request_id"]), facts["tokens"]) for _, _, facts in lines(caplog)) == [
        ("2nd", 3),
        ("first", 5),
    ]
