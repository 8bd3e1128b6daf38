"""An adapter that is deleted while it is on the device: who was admitted gets an answer, nobody else."""

import asyncio
from pathlib import Path

import grpc
import pytest

from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.registry import FolderRegistry, Publication, describe_base, locate_base
from parfocal.rpc import open_channel, remote_error
from parfocal.server.assembly import Loaded, running
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1 import registry_service_pb2_grpc as registry_pb_grpc


def _request(adapter: str, tokens: int) -> pb.GenerateRequest:
    stop = pb.Stop(max_tokens=tokens, ignore_eos=True)
    return pb.GenerateRequest(adapter=adapter, prompt="Dear support", stop=stop)


async def _refusal(stub: "pb_grpc.InferenceServiceAsyncStub", adapter: str) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Generate(_request(adapter, 4))
    return remote_error(refused.value).status


@pytest.mark.parametrize("over_the_wire", [False, True], ids=["by another process", "by this server"])
def test_requests_under_way_end_well_and_new_ones_are_refused(
    loaded: Loaded, tmp_path: Path, over_the_wire: bool
) -> None:
    registry = FolderRegistry(Path(loaded.config.registry))
    name = f"team/leaves-{int(over_the_wire)}"
    folder = write_adapter(tmp_path / "adapter", Path(loaded.config.base), AdapterShape(4), 9)
    contract = describe_base(locate_base(loaded.config.base, weights=False))
    digest = registry.publish(name, folder, Publication(contract)).digest
    references = [name, f"{name}@1", f"{name}@{digest}"]

    async def delete(remote: "registry_pb_grpc.RegistryServiceAsyncStub") -> None:
        if over_the_wire:
            await remote.DeleteVersion(registry_pb.DeleteVersionRequest(name=name, version=1))
        else:
            await asyncio.to_thread(registry.delete_version, name, 1)

    async def scenario() -> tuple[list[pb.GenerateResponse], list[str], list[str]]:
        async with running(loaded) as server, open_channel(server.address) as channel:
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            before = [await stub.Generate(_request(reference, 4)) for reference in references]
            stream = aiter(stub.GenerateStream(_request(name, 200)))
            await anext(stream)
            await delete(registry_pb_grpc.RegistryServiceStub(channel))
            refusals = [await _refusal(stub, reference) for reference in references]
            there = await stub.ListLoadedAdapters(pb.ListLoadedAdaptersRequest())
            held = [each.digest for each in there.adapters]
            replies = [reply async for reply in stream]
            return [*before, replies[-1].final], refusals, held

    answers, refusals, held = asyncio.run(asyncio.wait_for(scenario(), 120))
    assert [answer.usage.completion_tokens for answer in answers] == [4, 4, 4, 200]
    assert refusals == ["NOT_FOUND"] * 3
    assert digest in held, "it was not on the device, so that nothing was tested"
