"""How requests and the server end on the real engine and wire: by a deadline, or with the engine."""

import asyncio
import urllib.request

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from parfocal.engine import EngineError
from parfocal.rpc import open_channel
from parfocal.server.assembly import Loaded, RunningServer, running
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc


def _request(tokens: int) -> pb.GenerateRequest:
    return pb.GenerateRequest(prompt="Dear support", stop=pb.Stop(max_tokens=tokens, ignore_eos=True))


async def _is_late(stub: "pb_grpc.InferenceServiceAsyncStub") -> bool:
    """Returns whether a long answer was cut off, here or by the server, whichever deadline came first."""
    try:
        answer = await stub.Generate(_request(480), timeout=0.5)
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    return answer.finish_reason == pb.FINISH_REASON_DEADLINE


def _held(server: RunningServer) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics") as reply:
        families = {each.name: each for each in text_string_to_metric_families(reply.read().decode())}
    return sum(families[f"parfocal_requests_{where}"].samples[0].value for where in ("running", "waiting"))


def test_requests_that_outlive_their_deadline_are_freed_and_the_next_one_works(loaded: Loaded) -> None:
    async def scenario() -> int:
        async with running(loaded) as server, open_channel(server.address) as channel, asyncio.timeout(60):
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            # However fast the machine, 64 x 480 tokens take longer than half a second.
            late = sum(await asyncio.gather(*(_is_late(stub) for _ in range(64))))
            await stub.Generate(_request(8))
            while await asyncio.to_thread(_held, server):
                await asyncio.sleep(0.05)
            return late

    assert asyncio.run(scenario()) > 0


def test_a_server_whose_engine_ends_by_itself_does_not_look_alive(loaded: Loaded) -> None:
    async def scenario() -> None:
        async with running(loaded) as server:
            serving = asyncio.ensure_future(server.run_until_terminated())
            await asyncio.to_thread(server.engine.stop)
            await serving

    with pytest.raises(EngineError, match="stopped by itself"):
        asyncio.run(asyncio.wait_for(scenario(), 60))
