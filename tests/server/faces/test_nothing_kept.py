"""What a rpc held is free when it has ended, and waits for no garbage collector."""

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import Iterator

import grpc

from fakes.serving import Served, serving
from parfocal.v1 import inference_service_pb2 as pb

# gRPC counts a stream as open while any of them lives, and refuses new ones when they are too many.
HELD = {"RPCState", "_ServicerContext", "Generation", "Account", "Call"}


@contextlib.contextmanager
def garbage() -> Iterator[Counter[str]]:
    """Counts by type, at its end, what the scope left to the garbage collector."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(type(each).__name__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def _of_each_kind(served: Served) -> None:
    request = pb.GenerateRequest(prompt="Hello")
    await served.stub.Generate(request)
    await served.stub.GenerateBatch(pb.GenerateBatchRequest(requests=[request] * 3))
    assert [reply async for reply in served.stub.GenerateStream(request)]
    await served.stub.Tokenize(pb.TokenizeRequest(prompt="Hello"))
    with contextlib.suppress(grpc.aio.AioRpcError):
        await served.stub.Generate(pb.GenerateRequest())


def test_an_rpc_that_has_ended_leaves_nothing_to_the_garbage_collector() -> None:
    async def scenario() -> Counter[str]:
        async with serving() as served:
            await _of_each_kind(served)
            with garbage() as found:
                for _ in range(20):
                    await _of_each_kind(served)
            return found

    found = asyncio.run(scenario())

    assert {name: count for name, count in found.items() if name in HELD} == {}
