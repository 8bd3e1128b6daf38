"""`parfocal serve --signatures require`: who asks for an unsigned version is refused, and nobody else."""

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from fakes.signing.signatures import key_of, sign
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.registry import FolderRegistry, Publication, describe_base, locate_base
from parfocal.registry.errors import NotSigned
from parfocal.registry.signing import TrustedKey, add_trusted_key, remove_trusted_key
from parfocal.rpc import RemoteError, open_channel, remote_error
from parfocal.server import ServeConfig
from parfocal.server.assembly import Loaded, load, running
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1 import registry_service_pb2_grpc as registry_pb_grpc


@pytest.fixture
def strict(loaded: Loaded, tmp_path: Path) -> ServeConfig:
    """The settings of a server that trusts ann; she has signed team/signed@1, and nobody version 2."""
    registry = FolderRegistry(tmp_path / "registry")
    contract = describe_base(locate_base(loaded.config.base, weights=False))
    for seed in (1, 2):
        folder = write_adapter(tmp_path / f"a{seed}", Path(loaded.config.base), AdapterShape(4), seed)
        registry.publish("team/signed", folder, Publication(contract))
    sign(registry, registry.resolve("team/signed@1"), "ann")
    keys = tmp_path / "trusted.jsonl"
    add_trusted_key(keys, TrustedKey("ann", key_of("ann").public))
    where = {"registry": str(tmp_path / "registry"), "trusted_keys": str(keys)}
    return replace(loaded.config, **where, signatures="require")  # type: ignore[arg-type]  # texts


def _request(adapter: str) -> pb.GenerateRequest:
    return pb.GenerateRequest(adapter=adapter, prompt="Dear", stop=pb.Stop(max_tokens=2, ignore_eos=True))


async def _refusal(stub: "pb_grpc.InferenceServiceAsyncStub", adapter: str) -> RemoteError:
    """Why an adapter is refused, as soon as it is."""
    while True:
        try:
            await stub.Generate(_request(adapter))
        except grpc.aio.AioRpcError as error:
            return remote_error(error)
        await asyncio.sleep(0.05)


def test_an_unsigned_version_is_refused_by_name_and_a_revoked_key_counts_no_more(strict: ServeConfig) -> None:
    async def scenario() -> tuple[list[RemoteError], list[int], RemoteError]:
        async with running(load(strict)) as server, open_channel(server.address) as channel:
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            remote: registry_pb_grpc.RegistryServiceAsyncStub = registry_pb_grpc.RegistryServiceStub(channel)
            refused = [await _refusal(stub, "team/signed@2")]
            answers = [await stub.Generate(_request(name)) for name in ("team/signed@1", "")]
            move = registry_pb.SetAliasRequest(name="team/signed", alias="prod", version=2)
            with pytest.raises(grpc.aio.AioRpcError) as unmoved:
                await remote.SetAlias(move)
            remove_trusted_key(Path(strict.trusted_keys), "ann")
            refused.append(await _refusal(stub, "team/signed@1"))
            tokens = [answer.usage.completion_tokens for answer in answers]
            return refused, tokens, remote_error(unmoved.value)

    refused, tokens, unmoved = asyncio.run(asyncio.wait_for(scenario(), 120))

    assert [(each.status, each.reason) for each in refused] == [("FAILED_PRECONDITION", "NOT_SIGNED")] * 2
    assert "team/signed@2 is not signed" in refused[0].message
    assert "team/signed@1 is not signed" in refused[1].message
    assert unmoved.reason == "NOT_SIGNED"
    assert tokens == [2, 2]


def test_a_server_that_warns_answers_and_says_so(strict: ServeConfig) -> None:
    async def scenario() -> list[list[str]]:
        mild = load(replace(strict, signatures="warn"))
        async with running(mild) as server, open_channel(server.address) as channel:
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            names = ("team/signed@1", "team/signed@2")
            return [list((await stub.Generate(_request(name))).warnings) for name in names]

    signed, unsigned = asyncio.run(asyncio.wait_for(scenario(), 120))

    assert not any("not signed" in warning for warning in signed)
    assert any("team/signed@2 is not signed" in warning for warning in unsigned)


def test_an_unsigned_version_that_is_pinned_is_refused_before_the_base_is_loaded(strict: ServeConfig) -> None:
    with pytest.raises(NotSigned, match="team/signed@2"):
        load(replace(strict, pin="team/signed@2", base="nowhere/to-be-found"))
