"""A server that listens before what it serves is there."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.echo import KINDS, NAME, Echo, add_echo, call
from parfocal.rpc import AddressUnavailable, RemoteError, Service, WireServer, open_channel, remote_error

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
ECHO = Service(add_echo, Echo(), NAME)


async def refusal(channel: grpc.aio.Channel, rpc: str) -> RemoteError:
    """Returns how the rpc is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(channel, rpc)
    return remote_error(refused.value)


@pytest.mark.parametrize("rpc", KINDS)
def test_until_it_is_open_rpcs_are_told_to_come_back(rpc: str) -> None:
    async def scenario() -> tuple[RemoteError, list[bytes]]:
        server = WireServer("127.0.0.1:0")
        await server.listen()
        try:
            async with open_channel(f"127.0.0.1:{server.port}") as channel:
                refused = await refusal(channel, rpc)
                await server.open([ECHO])
                return refused, await call(channel, rpc)
        finally:
            await server.stop()

    refused, replies = asyncio.run(scenario())

    assert (refused.status, refused.reason, refused.retry_after_s) == ("UNAVAILABLE", "LOADING", 1.0)
    assert replies == [b"x"]


def test_health_tells_loading_from_serving() -> None:
    async def scenario() -> list[int]:
        server = WireServer("127.0.0.1:0")
        await server.listen()
        try:
            async with open_channel(f"127.0.0.1:{server.port}") as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                before = (await stub.Check(health_pb2.HealthCheckRequest())).status
                await server.open([ECHO])
                return [before, (await stub.Check(health_pb2.HealthCheckRequest(service=NAME))).status]
        finally:
            await server.stop()

    assert asyncio.run(scenario()) == [NOT_SERVING, SERVING]


def test_an_address_is_taken_before_anything_is_served_there() -> None:
    async def scenario() -> None:
        first = WireServer("127.0.0.1:0")
        await first.listen()
        second = WireServer(f"127.0.0.1:{first.port}")
        with pytest.raises(AddressUnavailable, match=f"127.0.0.1:{first.port}"):
            await second.listen()
        await asyncio.gather(first.stop(), second.stop())

    asyncio.run(scenario())


def test_a_server_is_draining_from_its_first_signal_on() -> None:
    async def scenario() -> list[bool]:
        server = WireServer("127.0.0.1:0", [ECHO])
        await server.start()
        seen = [server.is_draining]
        server.terminate()
        seen.append(server.is_draining)
        await server.stop()
        return seen

    assert asyncio.run(scenario()) == [False, True]
