"""How requests and the server end on the real engine and wire: by a deadline, or with the engine."""

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from fakes.engine.dying_backend import on_dying_device
from parfocal.engine import EngineError, EngineFailed
from parfocal.rpc import open_channel
from parfocal.server.assembly import Loaded, RunningServer, running
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1 import registry_service_pb2_grpc as registry_pb_grpc


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


def _readiness(server: RunningServer) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/readyz") as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def _registry(channel: grpc.aio.Channel) -> "registry_pb_grpc.RegistryServiceAsyncStub":
    stub: registry_pb_grpc.RegistryServiceAsyncStub = registry_pb_grpc.RegistryServiceStub(channel)
    return stub


async def _silence() -> AsyncIterator[registry_pb.PublishVersionRequest]:
    await asyncio.Event().wait()
    yield registry_pb.PublishVersionRequest()


async def _until_not_serving(channel: grpc.aio.Channel) -> None:
    async for reply in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
        if reply.status == health_pb2.HealthCheckResponse.NOT_SERVING:
            return


@pytest.mark.parametrize(
    ("tells", "cut", "cause"),
    [
        (True, grpc.StatusCode.UNAVAILABLE, "the device is lost: CUDA error: an illegal memory access"),
        (False, grpc.StatusCode.INTERNAL, "failed in 8 steps in a row: CUDA error: an illegal memory access"),
    ],
    ids=["a lost device", "steps that fail for ever"],
)
def test_a_server_that_can_compute_nothing_says_so_everywhere_and_ends(
    loaded: Loaded, tells: bool, cut: grpc.StatusCode, cause: str
) -> None:
    """An upload under way keeps the server from ending before it has answered."""
    died = threading.Event()
    doomed = replace(loaded, base=on_dying_device(loaded.base, died.is_set, tells=tells))

    async def scenario() -> list[grpc.aio.AioRpcError]:
        async with running(doomed) as server, open_channel(server.address) as channel:
            serving = asyncio.ensure_future(server.run_until_terminated())
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            upload = _registry(channel).PublishVersion(_silence())
            stream = aiter(stub.GenerateStream(_request(480)))
            await anext(stream)
            while server.wire.under_way < 2:
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(_readiness, server) == 200
            died.set()
            errors = []
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                async for _ in stream:
                    pass
            errors.append(ended.value)
            await _until_not_serving(channel)
            assert await asyncio.to_thread(_readiness, server) == 503
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Generate(_request(8))
            errors.append(refused.value)
            upload.cancel()
            with pytest.raises(EngineFailed, match=cause):
                await serving
            return errors

    ended, refused = asyncio.run(asyncio.wait_for(scenario(), 120))
    assert ended.code() is cut
    assert "illegal memory access" in (ended.details() or "")
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert cause in (refused.details() or "")
