"""Adapters that are pinned at start: there before the first request, and never evicted."""

import asyncio
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.registry import AdapterNotFound, FolderRegistry, Publication, describe_base, locate_base
from parfocal.rpc import open_channel
from parfocal.server.assembly import Loaded, load, running
from parfocal.server.errors import BadSetting, ContractMismatch
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc


def pinning(loaded: Loaded, *references: str) -> Loaded:
    """Returns the same base, to be served with these adapters pinned."""
    return replace(loaded, config=replace(loaded.config, pin=",".join(references)))


async def held(stub: "pb_grpc.InferenceServiceAsyncStub") -> dict[str, pb.LoadedAdapter]:
    """Returns the adapters that the engine holds."""
    reply = await stub.ListLoadedAdapters(pb.ListLoadedAdaptersRequest())
    return {f"{adapter.name}@{adapter.version}": adapter for adapter in reply.adapters}


@pytest.fixture(scope="module")
def another(served_base: Path, served_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Returns a third adapter for the base."""
    adapter = write_adapter(tmp_path_factory.mktemp("third") / "a", served_base, AdapterShape(rank=4), 7)
    contract = describe_base(locate_base(str(served_base), weights=False))
    return str(FolderRegistry(served_registry).publish("team/third", adapter, Publication(contract)))


def test_a_pinned_adapter_is_ready_before_the_first_request_and_stays(loaded: Loaded, another: str) -> None:
    async def scenario() -> tuple[pb.Model, list[dict[str, pb.LoadedAdapter]], str]:
        async with (
            running(pinning(loaded, "team/invoices@1")) as server,
            open_channel(server.address) as channel,
        ):
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            seen = [await held(stub)]
            # There are two slots: the others take turns in the one that is left.
            for reference in ("team/invoices@2", another, "team/invoices@2", another, "team/invoices@1"):
                request = pb.GenerateRequest(adapter=reference, prompt="x", stop=pb.Stop(max_tokens=2))
                await stub.Generate(request)
            seen.append(await held(stub))
            url = f"http://127.0.0.1:{server.metrics_port}/metrics"
            page = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
            return await stub.GetModel(pb.GetModelRequest()), seen, page

    model, [before, after], page = asyncio.run(scenario())

    assert [f"{each.name}@{each.version}" for each in model.pinned_adapters] == ["team/invoices@1"]
    assert before.keys() == {"team/invoices@1"}
    pinned = before["team/invoices@1"]
    assert (pinned.state, pinned.tier) == (pb.ADAPTER_STATE_READY, pb.TIER_DEVICE)
    assert (pinned.pinned, pinned.pins) == (True, 0)
    on_device = {name for name, adapter in after.items() if adapter.tier == pb.TIER_DEVICE}
    assert on_device == {"team/invoices@1", another}
    assert [name for name, adapter in after.items() if adapter.pinned] == ["team/invoices@1"]
    # One for the pinned adapter, none for warming up: the others were never there when they were asked for.
    assert 'parfocal_adapter_lookups_total{result="hit"} 1.0' in page


def test_one_content_under_two_references_is_pinned_once(loaded: Loaded) -> None:
    async def scenario() -> list[str]:
        pinned = replace(loaded.config, slots=3, pin="team/invoices@1, team/invoices@prod ,")
        async with (
            running(replace(loaded, config=pinned)) as server,
            open_channel(server.address) as channel,
        ):
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            model = await stub.GetModel(pb.GetModelRequest())
            return [f"{each.name}@{each.version}" for each in model.pinned_adapters]

    assert asyncio.run(scenario()) == ["team/invoices@1"]


def test_an_adapter_for_another_base_refuses_the_start(loaded: Loaded) -> None:
    async def scenario() -> None:
        async with running(pinning(loaded, "team/stranger")):
            pass

    with pytest.raises(ContractMismatch, match="team/stranger@1"):
        asyncio.run(scenario())


@pytest.fixture
def before_the_base(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Returns a start that must end before it looks for its base, which is not there."""

    def start(pin: str) -> None:
        load(replace(loaded.config, base="/nowhere/base", pin=pin))

    return start


def test_an_unknown_adapter_refuses_the_start_before_the_base_is_loaded(
    before_the_base: Callable[[str], None],
) -> None:
    with pytest.raises(AdapterNotFound, match="team/nobody"):
        before_the_base("team/nobody")


def test_pins_leave_a_slot_for_others(before_the_base: Callable[[str], None]) -> None:
    with pytest.raises(BadSetting, match="pin names 2 adapters and slots is 2"):
        before_the_base("team/invoices@1,team/invoices@2")
