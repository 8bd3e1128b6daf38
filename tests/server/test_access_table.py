"""The table of access over gRPC: every rpc of a real server lets in whom its row says, and nobody else."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from fakes.key_files import given_key
from fakes.registry.peft_folders import Adapter, write_adapter
from fakes.registry.publisher import small_publication
from fakes.serving import serving
from parfocal.engine import AdapterKey
from parfocal.registry import FolderRegistry
from parfocal.registry.faces.grpc import RegistryService
from parfocal.registry.gates import BelowBase, Gate, Passage
from parfocal.rpc import Credentials, Endpoint, Guard, Service, WireServer, open_channel, remote_error
from parfocal.rpc.access import KeysInForce
from parfocal.v1 import adapter_pb2
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1.access import RULES, Rule, Verb
from parfocal.v1.registry_service_pb2_grpc import add_RegistryServiceServicer_to_server

NAME = "team/invoices"
GRANTED = [Verb.GENERATE, Verb.READ, Verb.PUBLISH, Verb.PROMOTE, Verb.ADMIN]
NAMED = [rule for rule in RULES if rule.names]


def _input(rule: Rule) -> type[Message]:
    service, _, method = rule.of.partition("/")
    found = descriptor_pool.Default().FindServiceByName(service).FindMethodByName(method)
    made: type[Message] = message_factory.GetMessageClass(found.input_type)
    return made


def _naming(rule: Rule, path: str, name: str = NAME) -> Message:
    """A message that names an adapter in the field at `path`, and is empty otherwise."""
    message = _input(rule)()
    place: Any = message
    *above, last = path.split(".")
    for field in above:
        found = getattr(place, field)
        place = found if hasattr(found, "DESCRIPTOR") else found.add()
    setattr(place, last, name)
    return message


# What grpc.aio makes up itself where an rpc has ended before its message was sent: no server said so.
_SENT_TOO_LATE = "Internal error from Core"


@dataclass
class Table:
    """A server with keys, and the file of them."""

    wire: WireServer
    path: Path

    async def ends(self, rule: Rule, message: Message, key: str | None) -> str:
        """The reason that the caller is given; any that comes from behind the guard is `let in`."""
        endpoint = Endpoint(f"127.0.0.1:{self.wire.port}", credentials=Credentials(key))
        async with open_channel(endpoint) as channel:
            # Any kind of rpc can be called as one that streams both ways.
            call = channel.stream_stream(f"/{rule.of}", lambda sent: sent.SerializeToString(), None)
            try:
                await call(iter([message])).read()
            except grpc.aio.AioRpcError as error:
                if error.details() == _SENT_TOO_LATE:
                    return await self.ends(rule, message, key)
                failed = remote_error(error)
                inside = failed.status not in ("UNAUTHENTICATED", "PERMISSION_DENIED")
                return "let in" if inside else failed.reason
            return "let in"


@contextlib.asynccontextmanager
async def table(folder: Path, *keys: str) -> AsyncIterator[tuple[Table, list[str]]]:
    """Serves both services over a fake engine and an empty registry; also yields keys of these scopes."""
    path = folder / "keys.jsonl"
    texts = [given_key(path, scope) for scope in keys]
    registry = RegistryService(FolderRegistry(folder / "registry"), folder / "uploads")
    service = Service(add_RegistryServiceServicer_to_server, registry, "parfocal.v1.RegistryService")
    async with serving(None, service, guard=Guard(KeysInForce(path))) as served:
        yield Table(served.wire, path), texts


@pytest.mark.parametrize("rule", RULES, ids=[rule.of for rule in RULES])
def test_strangers_reach_nothing_but_what_is_open(rule: Rule, tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        async with table(tmp_path, "admin") as (served, [key]):
            messages = [_input(rule)(), *(_naming(rule, path) for path in rule.names)]
            wrong = f"{key[:-1]}{'0' if key[-1] != '0' else '1'}"
            return [
                await served.ends(rule, message, shown) for message in messages for shown in (None, wrong)
            ]

    ended = asyncio.run(scenario())

    if rule.verb is Verb.OPEN:
        assert set(ended) == {"let in"}
    else:
        assert ended == ["KEY_MISSING", "KEY_UNKNOWN"] * (1 + len(rule.names))


@pytest.mark.parametrize("rule", NAMED, ids=[rule.of for rule in NAMED])
def test_only_the_scope_of_the_row_opens_it(rule: Rule, tmp_path: Path) -> None:
    """In each field that names an adapter; scopes for another namespace open nothing."""
    wanted = set(GRANTED) if rule.verb is Verb.SEE else {rule.verb, Verb.ADMIN}

    async def scenario() -> dict[tuple[str, str], str]:
        scopes = [f"{verb}:{namespace}/*" for verb in GRANTED for namespace in ("team", "other")]
        async with table(tmp_path, *scopes) as (served, keys):
            return {
                (path, scope): await served.ends(rule, _naming(rule, path), key)
                for path in rule.names
                for scope, key in zip(scopes, keys, strict=True)
            }

    ended = asyncio.run(scenario())

    for (_, scope), outcome in ended.items():
        is_enough = scope.endswith(":team/*") and scope.partition(":")[0] in wanted
        assert outcome == ("let in" if is_enough else "SCOPE_MISSING"), scope


def test_the_base_takes_a_scope_of_its_own(tmp_path: Path) -> None:
    rules = [rule for rule in RULES if rule.verb is Verb.GENERATE]

    async def scenario() -> list[list[str]]:
        async with table(tmp_path, "generate:base", "generate:*/*") as (served, keys):
            return [[await served.ends(rule, _input(rule)(), key) for key in keys] for rule in rules]

    assert asyncio.run(scenario()) == [["let in", "SCOPE_MISSING"]] * len(rules)


def test_each_request_of_a_batch_is_held_to_by_itself(tmp_path: Path) -> None:
    asked = [
        pb.GenerateRequest(adapter=NAME, prompt="a"),
        pb.GenerateRequest(prompt="a"),
        pb.GenerateRequest(adapter="other/x", prompt="a"),
        pb.GenerateRequest(prompt="a", blend=[pb.BlendPart(adapter=NAME), pb.BlendPart(adapter="other/x")]),
    ]

    async def scenario() -> list[str]:
        async with _served(tmp_path, "generate:team/*") as (_, channel):
            stub = channel.unary_unary(
                "/parfocal.v1.InferenceService/GenerateBatch",
                lambda sent: sent.SerializeToString(),
                pb.GenerateBatchResponse.FromString,
            )
            reply = await stub(pb.GenerateBatchRequest(requests=asked))
            return [each.error.message if each.HasField("error") else "answered" for each in reply.results]

    answered, *refused = asyncio.run(scenario())

    assert answered == "answered"
    assert "needs generate:base" in refused[0]
    assert all("needs generate:other/x" in each for each in refused[1:])


@contextlib.asynccontextmanager
async def _served(folder: Path, *scopes: str) -> AsyncIterator[tuple[FolderRegistry, grpc.aio.Channel]]:
    """Both services for one key with these scopes; two adapters under different names have one content."""
    key = given_key(folder / "keys.jsonl", *scopes, name="ci")
    registry = FolderRegistry(folder / "registry")
    publication = small_publication(folder)
    adapter = write_adapter(folder / "adapter", Adapter())
    for name in ("other/secret", NAME):
        registry.publish(name, adapter, publication)
    service = RegistryService(registry, folder / "uploads")
    beside = Service(add_RegistryServiceServicer_to_server, service, "parfocal.v1.RegistryService")
    async with serving(None, beside, guard=Guard(KeysInForce(folder / "keys.jsonl"))) as served:
        served.resolver.adapters[NAME] = AdapterKey("sha256:" + "1" * 64, NAME, 1)
        endpoint = Endpoint(f"127.0.0.1:{served.wire.port}", credentials=Credentials(key))
        async with open_channel(endpoint) as channel:
            yield registry, channel


async def _asked(channel: grpc.aio.Channel, rpc: str, message: Message, reply: type[Message]) -> list[Any]:
    call = channel.stream_stream(
        f"/parfocal.v1.RegistryService/{rpc}", lambda sent: sent.SerializeToString(), reply.FromString
    )
    return [each async for each in call(iter([message]))]


def test_lists_downloads_and_events_tell_only_of_what_the_key_sees(tmp_path: Path) -> None:
    async def scenario() -> tuple[list[str], list[str], list[str]]:
        async with _served(tmp_path, "read:team/*") as (registry, channel):
            [listed] = await _asked(
                channel, "ListAdapters", registry_pb.ListAdaptersRequest(page_size=1),
                registry_pb.ListAdaptersResponse,
            )  # fmt: skip
            digest = registry.resolve(NAME).digest
            parts = await _asked(
                channel, "DownloadVersion", registry_pb.DownloadVersionRequest(digest=digest),
                registry_pb.DownloadVersionResponse,
            )  # fmt: skip
            watch = channel.unary_stream(
                "/parfocal.v1.RegistryService/Watch",
                lambda sent: sent.SerializeToString(),
                registry_pb.WatchResponse.FromString,
            )(registry_pb.WatchRequest(after_sequence=0))
            await watch.read()
            event: Any = await watch.read()
            watch.cancel()
            names = [each.name for each in listed.adapters]
            return names, [parts[0].version.name], [event.version_published.name]

    assert asyncio.run(scenario()) == ([NAME], [NAME], [NAME])


def test_a_digest_that_the_key_may_not_read_is_not_there(tmp_path: Path) -> None:
    async def scenario() -> str:
        async with _served(tmp_path, "read:nobody/*") as (registry, channel):
            request = registry_pb.DownloadVersionRequest(digest=registry.resolve(NAME).digest)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await _asked(channel, "DownloadVersion", request, registry_pb.DownloadVersionResponse)
            return remote_error(refused.value).reason

    assert asyncio.run(scenario()) == "VERSION_NOT_FOUND"


def test_only_an_admin_moves_an_alias_past_its_gate(tmp_path: Path) -> None:
    async def scenario(*scopes: str) -> str:
        folder = tmp_path / scopes[0].partition(":")[0]
        folder.mkdir()
        async with _served(folder, *scopes) as (registry, channel):
            registry.set_gate(NAME, "prod", Gate((BelowBase(),)))
            request = registry_pb.SetAliasRequest(name=NAME, alias="prod", version=1)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await _asked(channel, "SetAlias", request, adapter_pb2.Alias)
            assert remote_error(refused.value).reason == "GATE_REFUSED"
            request.override_reason = "no time"
            try:
                await _asked(channel, "SetAlias", request, adapter_pb2.Alias)
            except grpc.aio.AioRpcError as error:
                assert registry.aliases(NAME) == []
                return remote_error(error).reason
            [move] = registry.alias_history(NAME, "prod")
            return Passage.parse(move.gate).reason

    assert asyncio.run(scenario("promote:team/*", "admin:other/*")) == "SCOPE_MISSING"
    assert asyncio.run(scenario("admin:team/*")) == "no time"


def test_the_history_names_the_key_that_moved_an_alias(tmp_path: Path) -> None:
    async def scenario() -> list[str]:
        async with _served(tmp_path, "promote:team/*") as (registry, channel):
            for alias, actor in (("next", ""), ("prod", "ana")):
                request = registry_pb.SetAliasRequest(name=NAME, alias=alias, version=1, actor=actor)
                await _asked(channel, "SetAlias", request, adapter_pb2.Alias)
            return [alias.actor for alias in registry.aliases(NAME)]

    by_key, by_ana = asyncio.run(scenario())

    assert by_key.startswith("key ci (pf_") and by_ana == f"ana with {by_key}"
