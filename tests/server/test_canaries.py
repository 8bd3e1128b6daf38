"""An alias with two versions on a serving process: who gets which, what is measured, what is aborted."""

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
from prometheus_client import generate_latest

from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.cli.monitoring import MetricsPage, canaries_on
from parfocal.registry import (
    CanaryEnd,
    CanaryPlan,
    FolderRegistry,
    Guard,
    GuardedMetric,
    MoveKind,
    Publication,
    describe_base,
    locate_base,
)
from parfocal.rpc import open_channel
from parfocal.server.assembly import Loaded, running
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

KEYS = [f"user-{number}" for number in range(12)]


def ask(name: str, key: str, request_id: str = "") -> pb.GenerateRequest:
    stop = pb.Stop(max_tokens=2, ignore_eos=True)
    return pb.GenerateRequest(
        adapter=f"{name}@prod", prompt="Dear support", stop=stop, split_key=key, request_id=request_id
    )


def test_requests_are_split_by_their_keys_and_both_versions_are_measured(
    loaded: Loaded, tmp_path: Path
) -> None:
    registry = FolderRegistry(Path(loaded.config.registry))
    contract = describe_base(locate_base(loaded.config.base, weights=False))
    for seed in (1, 2):
        folder = write_adapter(tmp_path / f"{seed}", Path(loaded.config.base), AdapterShape(4), seed)
        registry.publish("team/split", folder, Publication(contract))
    registry.set_alias("team/split", "prod", 1)
    registry.set_canary("team/split", "prod", CanaryPlan(2, 5000))
    canary = registry.resolve("team/split@prod").canary
    assert canary is not None

    async def scenario() -> tuple[list[int], list[int], str]:
        async with running(loaded) as server, open_channel(server.address) as channel:
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            keyed = [await stub.Generate(ask("team/split", key)) for key in KEYS * 2]
            named = [await stub.Generate(ask("team/split", "", request_id=key)) for key in KEYS]
            page = generate_latest(server.metrics.registry).decode()
            return [each.adapter.version for each in keyed], [each.adapter.version for each in named], page

    keyed, named, page = asyncio.run(asyncio.wait_for(scenario(), 120))
    expected = [2 if canary.takes(key) else 1 for key in KEYS]
    assert keyed == expected * 2
    assert named == expected, "without a key, the request's id is the key"
    assert set(expected) == {1, 2}
    (figures,) = canaries_on(MetricsPage.parse(page))
    assert (figures.adapter, figures.alias, figures.weight) == ("team/split", "prod", 0.5)
    for role, version in (("stable", 1), ("canary", 2)):
        found = figures.versions[role]
        assert (found.version, found.failed) == (str(version), 0)
        assert found.requests == expected.count(version) * 3
        assert found.tokens is not None
        assert abs(found.tokens - 2) < 1e-9
        assert found.first_token_s is not None
        assert found.first_token_s > 0


def test_a_canary_that_fails_is_aborted_in_the_registry_with_the_evidence(
    loaded: Loaded, tmp_path: Path
) -> None:
    registry = FolderRegistry(Path(loaded.config.registry))
    contract = describe_base(locate_base(loaded.config.base, weights=False))
    folder = write_adapter(tmp_path / "good", Path(loaded.config.base), AdapterShape(4), 3)
    registry.publish("team/bad", folder, Publication(contract))
    # Made for another base: every request of it is refused.
    folder = write_adapter(tmp_path / "bad", Path(loaded.config.base), AdapterShape(4), 4)
    registry.publish("team/bad", folder, Publication(replace(contract, config_digest="sha256:" + "9" * 64)))
    registry.set_alias("team/bad", "prod", 1)
    guard = Guard(GuardedMetric.ERRORS, samples=20)
    registry.set_canary("team/bad", "prod", CanaryPlan(2, 5000, (guard,)))

    async def answered(stub: "pb_grpc.InferenceServiceAsyncStub", number: int) -> bool:
        try:
            await stub.Generate(ask("team/bad", f"user-{number}"))
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
            return False
        return True

    async def scenario() -> list[bool]:
        async with running(loaded) as server, open_channel(server.address) as channel:
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            before = [await answered(stub, number) for number in range(80)]
            while registry.resolve("team/bad@prod").canary is not None:
                await asyncio.sleep(0.01)
            return [*before, *[await answered(stub, number) for number in range(80)]]

    outcomes = asyncio.run(asyncio.wait_for(scenario(), 120))
    assert not all(outcomes[:80])
    assert all(outcomes[80:])
    move = registry.alias_history("team/bad", "prod")[0]
    assert (move.kind, move.version) == (MoveKind.ABORT, 1)
    assert move.actor.startswith("parfocal serve at ")
    (found,) = CanaryEnd.parse(move.canary).comparisons
    assert (found.metric, found.canary_value, found.stable_value) == (GuardedMetric.ERRORS, 1.0, 0.0)
    assert found.low > 0
    assert registry.verify_history().is_sound
