"""The whole server on a small random base: real registry, real engine, real wire."""

import asyncio
import contextlib
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from parfocal.registry import FolderRegistry, Publication
from parfocal.rpc import RemoteError, open_channel, remote_error
from parfocal.server.assembly import Loaded, RunningServer, running
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1 import registry_service_pb2_grpc as registry_pb_grpc


@dataclass
class Client:
    """Both services of a running server."""

    inference: "pb_grpc.InferenceServiceAsyncStub"
    registry: "registry_pb_grpc.RegistryServiceAsyncStub"
    channel: grpc.aio.Channel
    server: RunningServer

    async def generate(self, adapter: str = "", tokens: int = 8) -> pb.GenerateResponse:
        """Returns an answer to always the same prompt."""
        return await self.inference.Generate(_request(adapter, tokens))

    async def refusal(self, adapter: str) -> RemoteError:
        """Returns what a request is refused with, after checking that the next one works."""
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await self.generate(adapter)
        assert (await self.generate()).finish_reason == pb.FINISH_REASON_LENGTH
        return remote_error(failed.value)


def _request(adapter: str, tokens: int) -> pb.GenerateRequest:
    stop = pb.Stop(max_tokens=tokens, ignore_eos=True)
    return pb.GenerateRequest(adapter=adapter, prompt="Dear support, my parcel", stop=stop)


@contextlib.asynccontextmanager
async def _client(loaded: Loaded) -> AsyncIterator[Client]:
    async with running(loaded) as server, open_channel(server.address) as channel:
        inference: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
        registry: registry_pb_grpc.RegistryServiceAsyncStub = registry_pb_grpc.RegistryServiceStub(channel)
        yield Client(inference, registry, channel, server)


def _metrics(server: RunningServer) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics") as reply:
        text = reply.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_base_and_adapters_answer_side_by_side_and_say_who_they_are(loaded: Loaded) -> None:
    async def scenario() -> list[pb.GenerateResponse]:
        async with _client(loaded) as client:
            references = ["", "team/invoices@prod", "team/invoices", "team/invoices@2"]
            return await asyncio.gather(*map(client.generate, references))

    base, first, latest, second = asyncio.run(scenario())

    assert not base.HasField("adapter")
    assert (first.adapter.name, first.adapter.version) == ("team/invoices", 1)
    assert latest.adapter == second.adapter
    assert list(latest.token_ids) == list(second.token_ids)
    assert len({tuple(reply.token_ids) for reply in (base, first, second)}) == 3
    assert base.usage.prompt_tokens == len("Dear support, my parcel")
    assert first.usage.completion_tokens == 8


def test_an_alias_moved_over_the_wire_counts_from_the_next_request_on(loaded: Loaded) -> None:
    async def scenario() -> tuple[int, int]:
        async with _client(loaded) as client:
            old = aiter(client.inference.GenerateStream(_request("team/invoices@prod", 80)))
            await anext(old)
            await client.registry.SetAlias(
                registry_pb.SetAliasRequest(name="team/invoices", alias="prod", version=2, actor="test")
            )
            new = await client.generate("team/invoices@prod")
            replies = [reply async for reply in old]
            await client.registry.RollbackAlias(
                registry_pb.RollbackAliasRequest(
                    name="team/invoices", alias="prod", expected_version=2, actor="test"
                )
            )
            return replies[-1].final.adapter.version, new.adapter.version

    assert asyncio.run(scenario()) == (1, 2)


def test_an_adapter_for_another_base_is_refused_with_the_field_that_differs(loaded: Loaded) -> None:
    async def scenario() -> RemoteError:
        async with _client(loaded) as client:
            return await client.refusal("team/stranger")

    refusal = asyncio.run(scenario())

    assert (refusal.status, refusal.reason) == ("FAILED_PRECONDITION", "CONTRACT_MISMATCH")
    assert refusal.metadata["contract_field"] == "base.config_digest"
    assert refusal.metadata["expected"] in refusal.message
    assert refusal.metadata["actual"] in refusal.message
    assert "team/stranger@1" in refusal.message


def test_an_unverified_adapter_with_wrong_shapes_is_refused_at_load(loaded: Loaded) -> None:
    async def scenario() -> RemoteError:
        async with _client(loaded) as client:
            return await client.refusal("team/blind")

    refusal = asyncio.run(scenario())

    assert (refusal.status, refusal.reason) == ("FAILED_PRECONDITION", "ADAPTER_REFUSED")


@pytest.mark.parametrize(
    ("reference", "status", "reason"),
    [
        ("team/absent", "NOT_FOUND", "ADAPTER_NOT_FOUND"),
        ("team/invoices@99", "NOT_FOUND", "VERSION_NOT_FOUND"),
        ("team/invoices@beta", "NOT_FOUND", "ALIAS_NOT_FOUND"),
        ("../etc/passwd", "INVALID_ARGUMENT", "INVALID_NAME"),
        ("/etc/passwd", "INVALID_ARGUMENT", "INVALID_NAME"),
        ("team/invo\u0131ces", "INVALID_ARGUMENT", "INVALID_NAME"),
        ("team/invoices@sha256:12", "INVALID_ARGUMENT", "INVALID_DIGEST"),
        ("team/invoices@" + "9" * 400, "INVALID_ARGUMENT", "INVALID_REFERENCE"),
    ],
)
def test_a_bad_reference_has_its_status(loaded: Loaded, reference: str, status: str, reason: str) -> None:
    async def scenario() -> RemoteError:
        async with _client(loaded) as client:
            return await client.refusal(reference)

    refusal = asyncio.run(scenario())

    assert (refusal.status, refusal.reason) == (status, reason)


def test_a_version_whose_bytes_changed_is_never_served(loaded: Loaded, tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    healthy = FolderRegistry(Path(loaded.config.registry))
    version = healthy.resolve("team/invoices@1")
    damaged = registry.publish(
        "team/damaged", healthy.materialise(version.digest), Publication(loaded.contract)
    )
    for blob in (tmp_path / "registry" / "blobs").rglob("*"):
        if blob.is_file() and blob.stat().st_size == damaged.manifest.files[1].size:
            blob.chmod(0o600)
            blob.write_bytes(blob.read_bytes()[:-1] + b"\x7f")

    async def scenario() -> RemoteError:
        async with _client(replace(loaded, registry=registry)) as client:
            return await client.refusal("team/damaged")

    assert asyncio.run(scenario()).status == "DATA_LOSS"


def test_a_client_that_goes_away_leaves_no_pin(loaded: Loaded) -> None:
    async def scenario() -> int:
        async with _client(loaded) as client:
            stream = client.inference.GenerateStream(_request("team/invoices@1", 400))
            await stream.read()
            stream.cancel()
            while True:
                reply = await client.inference.ListLoadedAdapters(pb.ListLoadedAdaptersRequest())
                (adapter,) = reply.adapters
                if adapter.pins == 0:
                    return adapter.state
                await asyncio.sleep(0.01)

    assert asyncio.run(asyncio.wait_for(scenario(), 60)) == pb.ADAPTER_STATE_READY


def test_metrics_tell_the_truth_after_traffic(loaded: Loaded) -> None:
    async def scenario() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        async with _client(loaded) as client:
            await asyncio.gather(*map(client.generate, ["", "team/invoices@1", "team/invoices@1"]))
            await client.refusal("team/absent")
            await client.refusal("team/stranger")
            # The last step is reported just after its answers have left.
            while True:
                samples = await asyncio.to_thread(_metrics, client.server)
                if samples["parfocal_generated_tokens_total", frozenset()] >= 40:
                    return samples

    samples = asyncio.run(asyncio.wait_for(scenario(), 60))

    def requests(adapter: str, version: str, outcome: str) -> float:
        labels = {"adapter": adapter, "version": version, "outcome": outcome}
        return samples["parfocal_requests_total", frozenset(labels.items())]

    assert requests("base", "", "length") == 3
    assert requests("team/invoices", "1", "length") == 2
    assert requests("unknown", "", "adapter_not_found") == 1
    assert requests("team/stranger", "1", "contract_mismatch") == 1
    assert samples["parfocal_generated_tokens_total", frozenset()] == 40
    assert samples["parfocal_time_to_first_token_seconds_count", frozenset()] == 5
    resident = {"adapter": "team/invoices", "version": "1", "tier": "device"}
    assert samples["parfocal_adapter_resident", frozenset(resident.items())] == 1
    assert samples["parfocal_adapter_memory_bytes", frozenset({("tier", "device")})] > 0
    assert samples["parfocal_base_memory_bytes", frozenset()] == loaded.base.info.memory_bytes
    assert samples["parfocal_requests_running", frozenset()] == 0
    assert samples["parfocal_adapter_load_seconds_count", frozenset({("stage", "copy")})] == 1


def test_a_running_server_is_healthy_and_describes_itself(loaded: Loaded) -> None:
    async def scenario() -> tuple[int, pb.Model]:
        async with _client(loaded) as client:
            health = health_pb2_grpc.HealthStub(client.channel)
            reply = await health.Check(health_pb2.HealthCheckRequest(service="parfocal.v1.InferenceService"))
            return reply.status, await client.inference.GetModel(pb.GetModelRequest())

    status, model = asyncio.run(scenario())

    assert status == health_pb2.HealthCheckResponse.SERVING
    assert (model.base.id, model.base.verified) == ("llama", True)
    assert (model.context_tokens, model.slots, model.has_chat_template) == (512, 2, True)
    assert list(model.eos_token_ids) == list(loaded.base.info.eos_ids)
