"""An InferenceService that does as a test says, in a thread of its own: refuses, breaks off, holds on."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from parfocal.rpc import Context, Service, WireServer
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

WORDS = ("Once", " upon", " a", " time")


class ScriptedInference:
    """Raises `failures`, one for each call, and answers after that.

    A stream raises after `before` pieces; with `holds`, it sends its pieces and then waits for its caller to
    leave, which sets `left`.
    """

    def __init__(self, *failures: Exception, before: int = 0, holds: bool = False) -> None:
        self.failures = list(failures)
        self.requests: list[pb.GenerateRequest] = []
        self.left = threading.Event()
        self._before = before
        self._holds = holds

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> pb.GenerateResponse:
        self.requests.append(request)
        if self.failures:
            raise self.failures.pop(0)
        return self._answer()

    async def GenerateStream(
        self, request: pb.GenerateRequest, context: Context
    ) -> AsyncIterator[pb.GenerateStreamResponse]:
        self.requests.append(request)
        try:
            for place, word in enumerate(WORDS):
                if place == self._before and self.failures:
                    raise self.failures.pop(0)
                yield pb.GenerateStreamResponse(delta_text=word, delta_token_ids=[place])
            if self._holds:
                await asyncio.Event().wait()
            yield pb.GenerateStreamResponse(final=self._answer())
        finally:
            self.left.set()

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.Model:
        if self.failures:
            raise self.failures.pop(0)
        return pb.Model(context_tokens=64)

    def _answer(self) -> pb.GenerateResponse:
        return pb.GenerateResponse(text="".join(WORDS), finish_reason=pb.FINISH_REASON_STOP)


class _Acting(pb_grpc.InferenceServiceServicer):
    """The service with the rpcs that the script has."""

    def __init__(self, script: ScriptedInference) -> None:
        vars(self).update(
            Generate=script.Generate, GenerateStream=script.GenerateStream, GetModel=script.GetModel
        )


@contextmanager
def scripted(servicer: ScriptedInference) -> Iterator[str]:
    """Serves it on a free port of the loopback and gives the address."""
    name = pb.DESCRIPTOR.services_by_name["InferenceService"].full_name
    acting = _Acting(servicer)  # type: ignore[abstract]  # the rest answers UNIMPLEMENTED
    service = Service(pb_grpc.add_InferenceServiceServicer_to_server, acting, name)
    with served_in_thread([service]) as server:
        yield f"127.0.0.1:{server.port}"


@contextmanager
def served_in_thread(services: list[Service], address: str = "127.0.0.1:0") -> Iterator[WireServer]:
    """Serves these in a thread of their own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="scripted-server")
    thread.start()

    async def started() -> WireServer:
        server = WireServer(address, services)
        await server.start()
        return server

    try:
        server = asyncio.run_coroutine_threadsafe(started(), loop).result(30)
        yield server
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
