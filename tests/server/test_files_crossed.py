"""How many of our files one warm request crosses: a reader who follows it should not get lost."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

import pytest

import parfocal
from parfocal.rpc import open_channel
from parfocal.server.assembly import Loaded, running
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

# What a request does not ask for is not on its way: keys, compression, a form, the prompt's scores.
MOST = 41
PORTIONS = tuple(parfocal.__path__)


class Trace:
    """Notes the files of ours whose functions run in any thread, while it is on."""

    def __init__(self) -> None:
        self.is_on = False
        self.codes: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if self.is_on and event == "call":
            self.codes.add(frame.f_code)

    def files(self) -> list[str]:
        """Paths within the namespace, sorted."""
        names = {code.co_filename for code in self.codes}
        return sorted(
            str(Path(name).relative_to(portion))
            for portion in PORTIONS
            for name in names
            if Path(name).is_relative_to(portion)
        )


@contextlib.contextmanager
def tracing() -> Iterator[Trace]:
    """A trace of every thread that starts within the scope, and of this one."""
    trace, ours, others = Trace(), sys.getprofile(), threading.getprofile()
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        yield trace
    finally:
        sys.setprofile(ours)
        threading.setprofile(others)


def test_a_warm_request_crosses_few_files(loaded: Loaded) -> None:
    async def scenario(trace: Trace) -> pb.GenerateResponse:
        async with running(loaded) as server, open_channel(server.address) as channel:
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            stop = pb.Stop(max_tokens=8, ignore_eos=True)
            request = pb.GenerateRequest(adapter="team/invoices@prod", prompt="Dear support", stop=stop)
            for _ in range(3):
                await stub.Generate(request)
            trace.is_on = True
            reply = await stub.Generate(request)
            trace.is_on = False
            return reply

    with tracing() as trace:
        reply = asyncio.run(scenario(trace))

    files = trace.files()
    if "engine/backends/native/decoder.py" not in files:
        pytest.skip("the native kernels do not run here; torch's own way is longer")
    assert reply.usage.completion_tokens == 8
    assert "server/faces/grpc/service.py" in files
    assert "engine/scheduling/scheduler.py" in files
    assert len(files) <= MOST, "\n".join(files)
