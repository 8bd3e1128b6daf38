"""Asks a server over gRPC for the command. Knows no terminal."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from parfocal.cli.conversation import Conversation, Said
from parfocal.cli.reach import endpoint
from parfocal.rpc import RemoteError, explained, open_blocking_channel, remote_error
from parfocal.v1 import adapter_pb2
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1 import registry_service_pb2_grpc as registry_pb_grpc

_UNREACHABLE = "UNAVAILABLE"
_TOO_LATE = "DEADLINE_EXCEEDED"
_FORMS: dict[int, str] = {adapter_pb2.RENDERING_FORM_CHAT: "chat", adapter_pb2.RENDERING_FORM_RAW: "raw"}


@dataclass(frozen=True, slots=True)
class Question:
    """What a user asks, whom, and how to sample the answer."""

    said: Said
    adapter: str
    sampling: pb.Sampling
    stop: pb.Stop
    options: pb.Options
    timeout_s: float | None
    split_key: str = ""


def answers(address: str, question: Question, count: int = 1) -> Iterator[pb.GenerateResponse]:
    """Yields `count` whole answers in order; the server computes them together. Raises RemoteError.

    Each is sampled on its own; with a seed, the first uses this seed, the next the one after, and so on.
    Closing the iterator cancels what still runs.
    """
    with _server(address, question.timeout_s) as channel:
        generate = pb_grpc.InferenceServiceStub(channel).Generate
        first = _request(channel, question)
        calls = [generate.future(_nth(first, number), timeout=question.timeout_s) for number in range(count)]
        try:
            for call in calls:
                yield call.result()
        finally:
            for call in calls:
                call.cancel()  # type: ignore[no-untyped-call]  # the stubs leave it bare


def answer_as_it_comes(address: str, question: Question) -> Iterator[pb.GenerateStreamResponse]:
    """Yields the answer piece by piece; raises RemoteError. Closing the iterator cancels the request."""
    with _server(address, question.timeout_s) as channel:
        request = _request(channel, question)
        call = pb_grpc.InferenceServiceStub(channel).GenerateStream(request, timeout=question.timeout_s)
        try:
            yield from call
        finally:
            call.cancel()  # type: ignore[no-untyped-call]  # the stubs leave it bare


def _nth(first: pb.GenerateRequest, number: int) -> pb.GenerateRequest:
    request = pb.GenerateRequest()
    request.CopyFrom(first)
    if first.sampling.HasField("seed"):
        # Wraps around from the largest seed to the smallest.
        request.sampling.seed = (first.sampling.seed + number + 2**63) % 2**64 - 2**63
    return request


@contextlib.contextmanager
def _server(address: str, timeout_s: float | None) -> Iterator[grpc.Channel]:
    server = endpoint(address)
    with open_blocking_channel(server) as channel:
        try:
            yield channel
        except grpc.RpcError as error:
            raise _explained(explained(remote_error(error), server), address, timeout_s) from error


def _explained(error: RemoteError, address: str, timeout_s: float | None) -> RemoteError:
    """A status without one of our reasons comes from gRPC itself: no server of ours answered, or too late."""
    if (error.status, error.reason) == (_TOO_LATE, _TOO_LATE) and timeout_s is not None:
        message = f"{address} did not answer to the end within {timeout_s:g} s; give a longer --timeout"
    elif (error.status, error.reason) == (_UNREACHABLE, _UNREACHABLE):
        message = f"no server answers at {address} ({error}); start one with: parfocal serve"
    else:
        return error
    return RemoteError(message, error.status, error.reason, error.metadata)


def _request(channel: grpc.Channel, question: Question) -> pb.GenerateRequest:
    request = pb.GenerateRequest(
        adapter=question.adapter,
        sampling=question.sampling,
        stop=question.stop,
        options=question.options,
        split_key=question.split_key,
    )
    if _as_chat(channel, question):
        request.chat.CopyFrom(_chat(question.said.conversation))
        if question.said.variables:
            request.chat.template_variables.update(question.said.variables)
    else:
        request.prompt = question.said.prompt
    return request


def _chat(said: Conversation) -> pb.Chat:
    messages = [
        pb.Message(
            role=message.role,
            content=message.content,
            tool_calls=[
                pb.ToolCall(name=call.name, arguments=call.arguments, id=call.id)
                for call in message.tool_calls
            ],
            tool_call_id=message.tool_call_id,
            name=message.name,
        )
        for message in said.messages
    ]
    return pb.Chat(messages=messages, tools=said.tools)


def _as_chat(channel: grpc.Channel, question: Question) -> bool:
    if question.said.chat is not None:
        return question.said.chat
    trained = _trained_form(channel, question.adapter) if question.adapter else None
    if trained is not None:
        return trained == "chat"
    return pb_grpc.InferenceServiceStub(channel).GetModel(pb.GetModelRequest()).has_chat_template


def _trained_form(channel: grpc.Channel, adapter: str) -> str | None:
    """The form in which to ask the adapter, `chat` or `raw`, if its version records one."""
    resolve = registry_pb_grpc.RegistryServiceStub(channel).ResolveAdapter
    try:
        version = resolve(registry_pb.ResolveAdapterRequest(reference=adapter))
    except grpc.RpcError as error:
        if remote_error(error).status == "UNIMPLEMENTED":  # a server without a registry
            return None
        raise
    return _recorded_form(version.manifest)


def _recorded_form(manifest: adapter_pb2.Manifest) -> str | None:
    """The contract's form; earlier, training recorded the form among the hyper-parameters."""
    contract = manifest.contract
    if contract.HasField("rendering"):
        return _FORMS.get(contract.rendering.form)
    try:
        hyper_parameters = json.loads(manifest.provenance.hyper_parameters_json or "{}")
    except (ValueError, RecursionError):  # no Parfocal has written that
        hyper_parameters = {}
    noted = hyper_parameters.get("rendering") if isinstance(hyper_parameters, dict) else None
    if noted in ("chat", "raw"):
        return str(noted)
    return "chat" if contract.HasField("chat_template_digest") else None
