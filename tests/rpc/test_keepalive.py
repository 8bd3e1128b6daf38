"""Callers that ping often, as many libraries and balancers make them do, with and without calls."""

import asyncio

import grpc

from fakes.echo import NAME, Echo, add_echo, call
from parfocal.rpc import Service, WireServer
from parfocal.rpc.options import channel_options, server_options

PING_MS = 1_200
# gRPC forgives two pings in a row that come too early; a fourth is on its way by then.
PINGS = 5


def test_a_caller_that_pings_often_keeps_its_call_and_its_idle_connection() -> None:
    """The pings come four times as often as the busiest usual setting, 5 s, so that nobody waits for them."""

    async def scenario() -> tuple[list[bytes], grpc.ChannelConnectivity]:
        echo = Echo()
        server = WireServer("127.0.0.1:0", [Service(add_echo, echo, NAME)])
        await server.start()
        options = [
            ("grpc.keepalive_time_ms", PING_MS),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        try:
            async with (
                grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options) as busy,
                grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options) as idle,
            ):
                await idle.channel_ready()
                answer = asyncio.ensure_future(call(busy, "HoldUnary", b"long"))
                await asyncio.sleep(PINGS * PING_MS / 1000)
                echo.released.set()
                return await answer, idle.get_state()
        finally:
            await server.stop()

    assert asyncio.run(scenario()) == ([b"long"], grpc.ChannelConnectivity.READY)


def test_our_own_pings_come_no_more_often_than_our_own_server_allows() -> None:
    client, server = dict(channel_options(1)), dict(server_options(1, None, None))

    assert client["grpc.keepalive_time_ms"] > 10 * server["grpc.http2.min_ping_interval_without_data_ms"]
    assert server["grpc.keepalive_permit_without_calls"] == client["grpc.keepalive_permit_without_calls"] == 1
