"""Keys over a real channel: who is let in, what is logged, and what a key that is taken away ends."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fakes.echo import KINDS, NAME, Echo, add_echo, call, open_stream
from fakes.key_files import given_key, id_of
from parfocal.rpc import (
    Credentials,
    Endpoint,
    Guard,
    RemoteError,
    Service,
    WireServer,
    open_blocking_channel,
    open_channel,
    remote_error,
)
from parfocal.rpc.access import KeysInForce, RuleMissing, remove_key
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1.access import RULES, Rule, Verb

RPCS = (*KINDS, "Hold", "HoldForEver", "HoldUnary", "Pour")
OWN = {rule.of: rule for rule in RULES}
ECHOES = OWN | {f"{NAME}/{rpc}": Rule(f"{NAME}/{rpc}", Verb.ANY) for rpc in RPCS}
ADMINS = OWN | {f"{NAME}/{rpc}": Rule(f"{NAME}/{rpc}", Verb.ADMIN) for rpc in RPCS}


@contextlib.asynccontextmanager
async def served(path: Path, echo: Echo, rules: dict[str, Rule]) -> AsyncIterator[WireServer]:
    """Serves the echo to whoever has a key in the file."""
    guard = Guard(KeysInForce(path), rules=rules)
    server = WireServer("127.0.0.1:0", [Service(add_echo, echo, NAME)], guard=guard)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def endpoint(server: WireServer, key: str | None) -> Endpoint:
    return Endpoint(f"127.0.0.1:{server.port}", credentials=Credentials(key))


def outcomes(path: Path, key: str | None, *rpcs: str, rules: dict[str, Rule] = ECHOES) -> list[str]:
    """How each rpc ends: the reason that the caller is given, or OK."""

    async def scenario() -> list[str]:
        ended = []
        async with served(path, Echo(), rules) as server, open_channel(endpoint(server, key)) as channel:
            for rpc in rpcs:
                try:
                    await call(channel, rpc)
                    ended.append("OK")
                except grpc.aio.AioRpcError as error:
                    ended.append(remote_error(error).reason)
        return ended

    return asyncio.run(scenario())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


def test_a_key_opens_every_kind_of_rpc_and_none_of_them_is_open_without(path: Path) -> None:
    key = given_key(path, "read")

    assert outcomes(path, key, *KINDS) == ["OK"] * len(KINDS)
    assert outcomes(path, None, *KINDS) == ["KEY_MISSING"] * len(KINDS)
    assert outcomes(path, key[:-4] + "0000", *KINDS) == ["KEY_UNKNOWN"] * len(KINDS)


def test_a_key_without_the_scope_is_refused_before_its_message_is_read(path: Path) -> None:
    assert outcomes(path, given_key(path, "read"), *KINDS, rules=ADMINS) == ["SCOPE_MISSING"] * len(KINDS)
    assert outcomes(path, given_key(path, "admin"), *KINDS, rules=ADMINS) == ["OK"] * len(KINDS)


def test_an_rpc_without_a_rule_is_not_served_to_anybody(path: Path) -> None:
    assert outcomes(path, given_key(path, "admin"), "UnaryUnary", rules=OWN) == ["RULE_MISSING"]


def test_strangers_do_not_even_learn_which_rpcs_there_are(path: Path) -> None:
    key = given_key(path, "read")

    assert outcomes(path, None, "Nothing") == ["KEY_MISSING"]
    assert outcomes(path, key, "Nothing") == ["METHOD_NOT_IMPLEMENTED"]


def test_a_blocking_channel_shows_the_key_with_every_kind_of_call(path: Path) -> None:
    key = given_key(path, "read")

    def calls(server: WireServer) -> list[bytes]:
        with open_blocking_channel(endpoint(server, key)) as channel:
            unary = channel.unary_unary(f"/{NAME}/UnaryUnary", None, None)
            return [
                unary(b"1", metadata=(("x-own", "kept"),)),
                unary.future(b"2").result(),
                unary.with_call(b"3")[0],
                *channel.unary_stream(f"/{NAME}/UnaryStream", None, None)(b"4"),
                channel.stream_unary(f"/{NAME}/StreamUnary", None, None)(iter([b"5"])),
                *channel.stream_stream(f"/{NAME}/StreamStream", None, None)(iter([b"6"])),
            ]

    async def scenario() -> list[bytes]:
        async with served(path, Echo(), ECHOES) as server:
            return await asyncio.to_thread(calls, server)

    assert asyncio.run(scenario()) == [b"1", b"2", b"3", b"4", b"5", b"6"]


def test_two_authorizations_are_none(path: Path) -> None:
    key = given_key(path, "read")

    async def scenario() -> RemoteError:
        async with served(path, Echo(), ECHOES) as server, open_channel(endpoint(server, None)) as channel:
            twice = (("authorization", f"Bearer {key}"), ("authorization", f"Bearer {key}"))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary(f"/{NAME}/UnaryUnary", None, None)(b"x", metadata=twice)
            return remote_error(refused.value)

    refused = asyncio.run(scenario())

    assert (refused.status, refused.reason) == ("UNAUTHENTICATED", "KEY_MISSING")
    assert "2 authorizations were shown" in str(refused)


def test_health_is_open_and_reflection_takes_a_key(path: Path) -> None:
    key = given_key(path, "read")

    async def listed(channel: grpc.aio.Channel) -> list[str]:
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        replies = [reply async for reply in ask(iter([asked]))]
        return [service.name for service in replies[0].list_services_response.service]

    async def scenario() -> tuple[int, str, list[str]]:
        async with served(path, Echo(), ECHOES) as server:
            async with open_channel(endpoint(server, None)) as stranger:
                check = health_pb2_grpc.HealthStub(stranger).Check
                health = (await check(health_pb2.HealthCheckRequest())).status
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await listed(stranger)
            async with open_channel(endpoint(server, key)) as known:
                return health, remote_error(refused.value).reason, await listed(known)

    health, refused, services = asyncio.run(scenario())

    assert (health, refused) == (health_pb2.HealthCheckResponse.SERVING, "KEY_MISSING")
    assert NAME in services


@pytest.mark.parametrize("rpc", ["Hold", "HoldForEver", "HoldUnary"])
def test_a_key_that_is_taken_away_ends_what_it_began_and_nothing_else(path: Path, rpc: str) -> None:
    key, other = given_key(path, "read"), given_key(path, "read")

    async def ending(channel: grpc.aio.Channel) -> RemoteError:
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call(channel, rpc) if rpc == "HoldUnary" else [
                reply async for reply in open_stream(channel, rpc)
            ]
        return remote_error(ended.value)

    async def scenario() -> tuple[RemoteError, list[object]]:
        echo, left = Echo(), Echo()
        async with (
            served(path, echo, ECHOES) as server,
            open_channel(endpoint(server, key)) as channel,
            open_channel(endpoint(server, other)) as second,
        ):
            running = asyncio.ensure_future(ending(channel))
            kept = open_stream(second, "HoldForEver")
            first = await kept.read()
            while server.under_way < 2:
                await asyncio.sleep(0.001)
            remove_key(path, id_of(key))
            ended = await running
            assert not kept.done() and left.cancelled is False
            kept.cancel()
            return ended, [first]

    ended, kept = asyncio.run(scenario())

    assert (ended.status, ended.reason) == ("UNAUTHENTICATED", "KEY_REVOKED")
    assert kept == [b"x"]


def test_a_caller_is_told_that_its_key_was_taken_away_also_when_it_reads_late(path: Path) -> None:
    key = given_key(path, "read")

    async def scenario() -> RemoteError:
        async with served(path, Echo(), ECHOES) as server, open_channel(endpoint(server, key)) as channel:
            stream = aiter(open_stream(channel, "Pour"))
            await anext(stream)
            remove_key(path, id_of(key))
            while server.under_way:  # it waits for its caller all the while
                await asyncio.sleep(0.01)
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                async for _ in stream:
                    pass
            return remote_error(ended.value)

    ended = asyncio.run(asyncio.wait_for(scenario(), 60))

    assert (ended.status, ended.reason) == ("UNAUTHENTICATED", "KEY_REVOKED")


def test_the_log_has_the_keys_id_and_never_the_key(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = given_key(path, "read")
    wrong = f"pf_{id_of(key)}_{'0' * 64}"

    outcomes(path, key, "UnaryUnary")
    outcomes(path, wrong, "UnaryUnary")
    outcomes(path, None, "UnaryUnary")

    lines = [vars(record)["facts"] for record in caplog.records if record.name == "parfocal.access"]
    assert [(line["status"], line.get("key")) for line in lines] == [
        ("OK", id_of(key)),
        ("UNAUTHENTICATED", id_of(key)),
        ("UNAUTHENTICATED", None),
    ]
    everything = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert key.split("_")[2] not in everything and "0" * 64 not in everything


def test_a_server_does_not_start_with_an_rpc_that_nobody_decided_about() -> None:
    name = pb.DESCRIPTOR.services_by_name["InferenceService"].full_name
    rules = {rule.of: rule for rule in RULES if rule.of != f"{name}/Tokenize"}

    async def scenario() -> None:
        service = Service(lambda servicer, server: None, object(), name)
        server = WireServer("127.0.0.1:0", [service], guard=Guard(rules=rules))
        try:
            await server.start()
        finally:
            await server.stop()

    with pytest.raises(RuleMissing, match="InferenceService/Tokenize is not served"):
        asyncio.run(scenario())
