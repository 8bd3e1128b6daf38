"""What an rpc held is free when it has ended, and waits for no garbage collector."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from fakes.key_files import given_key
from fakes.serving import Served, serving
from fakes.wire.garbage import garbage
from parfocal.rpc import Credentials, Endpoint, Guard, open_channel
from parfocal.rpc.access import KeysInForce
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

# gRPC counts a stream as open while any of them lives, and refuses new ones when they are too many.
HELD = {"RPCState", "_ServicerContext", "Generation", "Account", "Call", "Ending"}


@contextlib.asynccontextmanager
async def _stub(served: Served, key: str) -> AsyncIterator["pb_grpc.InferenceServiceAsyncStub"]:
    endpoint = Endpoint(f"127.0.0.1:{served.wire.port}", credentials=Credentials(key))
    async with open_channel(endpoint) as channel:
        yield pb_grpc.InferenceServiceStub(channel)


async def _of_each_kind(stub: "pb_grpc.InferenceServiceAsyncStub") -> None:
    request = pb.GenerateRequest(prompt="Hello")
    several = pb.GenerateRequest(prompt="Hello", options=pb.Options(choices=2))
    await stub.Generate(request)
    await stub.Generate(several)
    await stub.GenerateBatch(pb.GenerateBatchRequest(requests=[request] * 3))
    assert [reply async for reply in stub.GenerateStream(request)]
    await stub.Tokenize(pb.TokenizeRequest(prompt="Hello"))
    with contextlib.suppress(grpc.aio.AioRpcError):
        await stub.Generate(pb.GenerateRequest())


@pytest.mark.parametrize("with_keys", [False, True])
def test_an_rpc_that_has_ended_leaves_nothing_to_the_garbage_collector(
    with_keys: bool, tmp_path: Path
) -> None:
    path = tmp_path / "keys.jsonl"
    key = given_key(path, "generate")

    async def scenario() -> Counter[str]:
        guard = Guard(KeysInForce(path)) if with_keys else Guard()
        async with serving(guard=guard) as served, _stub(served, key) as stub:
            await _of_each_kind(stub)
            with garbage() as found:
                for _ in range(10):
                    await _of_each_kind(stub)
            return found

    found = asyncio.run(scenario())

    assert {name: count for name, count in found.items() if name in HELD} == {}
