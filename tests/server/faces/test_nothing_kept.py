"""What an rpc held is free when it has ended, and waits for no garbage collector."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from fakes.key_files import given_key
from fakes.serving import Served, serving
from fakes.wire.kept import OF_AN_RPC, guard_of, kept
from parfocal.engine import StepFailed
from parfocal.rpc import Credentials, Endpoint, open_channel
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

ONE = pb.GenerateRequest(prompt="Hello")
SEVERAL = pb.GenerateRequest(prompt="Hello", options=pb.Options(choices=2))

Work = Callable[[Served, "pb_grpc.InferenceServiceAsyncStub"], Awaitable[None]]


@contextlib.asynccontextmanager
async def _stub(served: Served, key: str) -> AsyncIterator["pb_grpc.InferenceServiceAsyncStub"]:
    endpoint = Endpoint(f"127.0.0.1:{served.wire.port}", credentials=Credentials(key))
    async with open_channel(endpoint) as channel:
        yield pb_grpc.InferenceServiceStub(channel)


async def _of_each_kind(served: Served, stub: "pb_grpc.InferenceServiceAsyncStub") -> None:
    await stub.Generate(ONE)
    await stub.Generate(SEVERAL)
    await stub.GenerateBatch(pb.GenerateBatchRequest(requests=[ONE] * 3))
    assert [reply async for reply in stub.GenerateStream(ONE)]
    await stub.Tokenize(pb.TokenizeRequest(prompt="Hello"))
    await stub.GetModel(pb.GetModelRequest())


async def _failing(served: Served, stub: "pb_grpc.InferenceServiceAsyncStub") -> None:
    await _fails(stub, pb.GenerateRequest())
    for unknown in (ONE, SEVERAL):
        await _fails(stub, pb.GenerateRequest(prompt=unknown.prompt, adapter="team/nobody"))
    for failure in (StepFailed, RuntimeError):
        for request in (ONE, SEVERAL):
            served.engine.failure = failure("the step failed")
            await _fails(stub, request)
    served.engine.failure = None  # it has the frames of what it ended


async def _fails(stub: "pb_grpc.InferenceServiceAsyncStub", request: pb.GenerateRequest) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.Generate(request)
    with pytest.raises(grpc.aio.AioRpcError):
        assert [reply async for reply in stub.GenerateStream(request)]


@pytest.mark.parametrize("with_keys", [False, True])
@pytest.mark.parametrize("work", [_of_each_kind, _failing])
def test_an_rpc_that_has_ended_is_held_by_nothing(work: Work, with_keys: bool, tmp_path: Path) -> None:
    path = tmp_path / "keys.jsonl"
    key = given_key(path, "generate")

    async def scenario() -> Counter[str]:
        async with serving(guard=guard_of(path, with_keys)) as served, _stub(served, key) as stub:
            return await kept(OF_AN_RPC, lambda: work(served, stub), times=10)

    assert asyncio.run(scenario()) == {}
