"""Callers whose bodies are no messages, or who call what is not there: bytes on a raw channel."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from parfocal.rpc import Context, RemoteError, Service, WireServer, open_channel, remote_error
from parfocal.v1 import adapter_pb2, inference_service_pb2_grpc, registry_service_pb2_grpc
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import registry_service_pb2 as registry_pb

INFERENCE, REGISTRY = "parfocal.v1.InferenceService", "parfocal.v1.RegistryService"
GARBAGE = b"\xff\xff\xff"
NOT_UTF8 = b"\x12\x02\xff\xfe"  # field 2, a string of two bytes that no UTF-8 has
CUT_OFF = pb.GenerateRequest(prompt="Hello").SerializeToString()[:-1]


class Inference(inference_service_pb2_grpc.InferenceServiceServicer):
    """Answers with the prompt."""

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> pb.GenerateResponse:
        return pb.GenerateResponse(text=request.prompt)

    async def GenerateStream(
        self, request: pb.GenerateRequest, context: Context
    ) -> AsyncIterator[pb.GenerateStreamResponse]:
        yield pb.GenerateStreamResponse(delta_text=request.prompt)


class Registry(registry_service_pb2_grpc.RegistryServiceServicer):
    """Counts what is uploaded."""

    async def PublishVersion(
        self, request_iterator: AsyncIterator[registry_pb.PublishVersionRequest], context: Context
    ) -> adapter_pb2.Version:
        return adapter_pb2.Version(version=len([part async for part in request_iterator]))


def ask(rpc: str, *bodies: bytes) -> bytes:
    """Returns the first reply of an rpc that gets these bodies. Raises RemoteError."""

    async def scenario() -> bytes:
        services = [
            Service(
                inference_service_pb2_grpc.add_InferenceServiceServicer_to_server,
                Inference(),  # type: ignore[abstract]
                INFERENCE,
            ),
            Service(
                registry_service_pb2_grpc.add_RegistryServiceServicer_to_server,
                Registry(),  # type: ignore[abstract]
                REGISTRY,
            ),
        ]
        server = WireServer("127.0.0.1:0", services)
        await server.start()
        try:
            async with open_channel(f"127.0.0.1:{server.port}") as channel:
                return await _first_reply(channel, rpc, bodies)
        finally:
            await server.stop()

    return asyncio.run(scenario())


async def _first_reply(channel: grpc.aio.Channel, rpc: str, bodies: tuple[bytes, ...]) -> bytes:
    try:
        if rpc.endswith("Stream"):
            return bytes(await anext(aiter(channel.unary_stream(rpc, None, None)(bodies[0]))))
        if rpc.endswith("PublishVersion"):
            return bytes(await channel.stream_unary(rpc, None, None)(iter(bodies)))
        return bytes(await channel.unary_unary(rpc, None, None)(bodies[0]))
    except grpc.aio.AioRpcError as error:
        raise remote_error(error) from error


@pytest.mark.parametrize("body", [GARBAGE, NOT_UTF8, CUT_OFF])
@pytest.mark.parametrize("rpc", ["Generate", "GenerateStream"])
def test_a_body_that_is_no_message_is_the_callers_fault(rpc: str, body: bytes) -> None:
    with pytest.raises(RemoteError) as refused:
        ask(f"/{INFERENCE}/{rpc}", body)

    error = refused.value
    assert (error.status, error.reason) == ("INVALID_ARGUMENT", "MESSAGE_UNREADABLE")
    assert error.metadata == {"method": f"/{INFERENCE}/{rpc}"}
    assert f"the {len(body)} bytes" in str(error)


def test_a_later_message_of_a_stream_is_the_callers_fault_too() -> None:
    good = registry_pb.PublishVersionRequest(chunk=registry_pb.FileChunk(path="a")).SerializeToString()

    with pytest.raises(RemoteError) as refused:
        ask(f"/{REGISTRY}/PublishVersion", good, GARBAGE)

    assert (refused.value.status, refused.value.reason) == ("INVALID_ARGUMENT", "MESSAGE_UNREADABLE")


def test_json_is_named_as_what_it_looks_like() -> None:
    with pytest.raises(RemoteError, match="looks like JSON"):
        ask(f"/{INFERENCE}/Generate", b' {"prompt": "Hello"}')


def test_no_bytes_are_a_message_without_fields() -> None:
    assert ask(f"/{INFERENCE}/Generate", b"") == b""


@pytest.mark.parametrize("rpc", [f"/{REGISTRY}/Watch", f"/{INFERENCE}/Generat", "/v1/Completions"])
def test_an_rpc_that_is_not_there_is_unimplemented_by_name(rpc: str) -> None:
    with pytest.raises(RemoteError, match=rpc) as refused:
        ask(rpc, b"")

    assert (refused.value.status, refused.value.reason) == ("UNIMPLEMENTED", "METHOD_NOT_IMPLEMENTED")
