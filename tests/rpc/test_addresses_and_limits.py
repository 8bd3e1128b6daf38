"""Where a server listens, and what it refuses to read."""

import asyncio
from pathlib import Path

import grpc
import pytest

from fakes.echo import NAME, Echo, add_echo, call, serving
from parfocal.rpc import AddressInvalid, AddressUnavailable, Service, WireServer, open_channel, remote_error

MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost",
        ":50051",
        "localhost:",
        "localhost:http",
        "localhost:65536",
        "http://localhost:1",
        "unix:",
    ],
)
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(AddressInvalid, match=r"write (grpc://)?host:port"):
        open_channel(address)


def test_a_server_answers_on_a_unix_socket(tmp_path: Path) -> None:
    async def scenario(address: str) -> list[bytes]:
        server = WireServer(address, [Service(add_echo, Echo(), NAME)])
        await server.start()
        try:
            async with open_channel(address) as channel:
                return await call(channel, "UnaryUnary", b"hello")
        finally:
            await server.stop()

    assert asyncio.run(scenario(f"unix:{tmp_path}/wire.sock")) == [b"hello"]


def test_a_taken_port_is_refused_by_name() -> None:
    async def scenario() -> None:
        async with serving(Echo()) as (server, _):
            second = WireServer(f"127.0.0.1:{server.port}", [])
            with pytest.raises(AddressUnavailable, match=f"127.0.0.1:{server.port}"):
                await second.start()
            await second.stop()

    asyncio.run(scenario())


def test_a_request_that_is_too_large_is_refused_and_the_next_one_works() -> None:
    async def scenario() -> tuple[str, list[bytes]]:
        async with serving(Echo()) as (_, channel):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await call(channel, "UnaryUnary", bytes(100 * MEBIBYTE))
            return remote_error(failed.value).status, await call(channel, "UnaryUnary", b"next")

    assert asyncio.run(scenario()) == ("RESOURCE_EXHAUSTED", [b"next"])


def test_a_large_message_within_the_limit_goes_through() -> None:
    async def scenario() -> list[bytes]:
        async with serving(Echo()) as (_, channel):
            return await call(channel, "UnaryUnary", bytes(MEBIBYTE))

    assert asyncio.run(scenario()) == [bytes(MEBIBYTE)]
