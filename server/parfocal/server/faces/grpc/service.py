"""InferenceService: from message to engine to reply. Knows no torch, tokenizer or storage."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from parfocal.engine import Delta, EngineError, Request
from parfocal.rpc import Context, current_call
from parfocal.server.faces.grpc.loaded_adapters import loaded_page
from parfocal.server.faces.grpc.replies import ReplyWriter, TokenText
from parfocal.server.faces.grpc.requests import GenerateCall, Input, deadline_after, read_generate, read_input
from parfocal.server.metrics import AdapterLister
from parfocal.server.requests import Account, EncoderPool, PromptEncoder, RefusalCounter, Resolved
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

P = ParamSpec("P")
T = TypeVar("T")

# Of an answer, counted with those of the likeliest tokens: written in some milliseconds.
_MANY_LOGPROBS = 2000


class DeltaStream(Protocol):
    """One request's deltas, the last with a completion; the engine's `Stream` is one."""

    def __aiter__(self) -> AsyncIterator[Delta]:
        """The deltas."""

    def cancel(self) -> None:
        """Ends the request; no effect once it has ended."""


class Submitter(Protocol):
    """Takes requests; the engine's thread is one."""

    def submit(self, request: Request) -> DeltaStream:
        """The request's deltas; raises an EngineError if it is refused."""


class Resolver(Protocol):
    """Knows what adapter references mean."""

    async def resolve(self, reference: str) -> Resolved:
        """What `reference` means now."""


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """What the service works with. `model` is the reply to GetModel."""

    engine: Submitter
    residents: AdapterLister
    resolver: Resolver
    encoders: EncoderPool
    token_text: TokenText
    refusals: RefusalCounter
    model: pb.Model


class InferenceService(pb_grpc.InferenceServiceServicer):
    """Answers with the base or any adapter. Raises domain errors, which the wire turns into statuses."""

    def __init__(self, parts: ServiceParts) -> None:
        self._parts = parts

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> pb.GenerateResponse:
        """The whole answer."""
        account = self._account(request)
        stream, writer = await self._admit(request, context, account)
        async for delta in stream:
            account.progressed(delta)
            if delta.completion is not None:
                return await self._built(delta, writer.completion, delta.completion)
        raise EngineError("the request ended without a result")

    async def GenerateStream(
        self, request: pb.GenerateRequest, context: Context
    ) -> AsyncIterator[pb.GenerateStreamResponse]:
        """Streams the answer as it becomes certain."""
        account = self._account(request)
        stream, writer = await self._admit(request, context, account)
        is_first = True
        async for delta in stream:
            account.progressed(delta)
            yield await self._built(delta, writer.delta, delta, is_first)
            is_first = False

    async def Tokenize(self, request: pb.TokenizeRequest, context: Context) -> pb.TokenizeResponse:
        """The token ids that Generate would use, and each one's text."""
        given = read_input(request)
        resolved = await self._parts.resolver.resolve(request.adapter)

        def tokenised(encoder: PromptEncoder) -> pb.TokenizeResponse:
            ids = given.encode(encoder, resolved.manner)
            return pb.TokenizeResponse(token_ids=ids, texts=encoder.texts(ids))

        return await self._parts.encoders.run(tokenised)

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.Model:
        """The resident base and the limits."""
        return self._parts.model

    async def ListLoadedAdapters(
        self, request: pb.ListLoadedAdaptersRequest, context: Context
    ) -> pb.ListLoadedAdaptersResponse:
        """A page of the adapters that the engine holds now."""
        return loaded_page(self._parts.residents.adapters(), request)

    def _account(self, message: pb.GenerateRequest) -> Account:
        return Account(current_call(), self._parts.refusals, message.request_id, message.adapter)

    async def _admit(
        self, message: pb.GenerateRequest, context: Context, account: Account
    ) -> tuple[DeltaStream, ReplyWriter]:
        deadline = deadline_after(context.time_remaining())
        with account:
            call = read_generate(message, account.request_id)
            resolved = await self._parts.resolver.resolve(call.adapter)
            account.resolved(resolved.adapter)
            ids, warnings = await self._encoded(call.input, resolved)
            account.admitted(len(ids))
            stream = self._parts.engine.submit(call.request(ids, resolved.adapter, deadline))
        # Cancel on any RPC end. Keep this line await-free after submit().
        context.add_done_callback(lambda _: stream.cancel())  # type: ignore[arg-type]  # any callable will do
        echo = await self._echo(call, ids) if call.echo else ""
        return stream, ReplyWriter(self._parts.token_text, echo, warnings)

    async def _built(self, delta: Delta, write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `write` returns, from a thread where that would hold up the others on the loop."""
        logprobs = delta.completion.logprobs if delta.completion is not None else ()
        if len(logprobs) * (1 + len(logprobs[0].top) if logprobs else 0) <= _MANY_LOGPROBS:
            return write(*args, **kwargs)
        return await self._parts.encoders.run(lambda _: write(*args, **kwargs))

    async def _encoded(self, given: Input, resolved: Resolved) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The prompt's token ids, and warnings for the caller about its form."""
        manner = resolved.manner
        ids, unread = await self._parts.encoders.run(
            lambda encoder: (
                given.encode(encoder, manner),
                encoder.unread(given.variables, manner.template),
            )
        )
        about = [f"the chat template does not read the template variable {name!r}" for name in unread]
        return ids, (*resolved.warnings(given.form), *about)

    async def _echo(self, call: GenerateCall, ids: tuple[int, ...]) -> str:
        """The prompt as it was sent, or as its tokens spell it, which the engine has checked."""
        return call.prompt or await self._parts.encoders.run(lambda encoder: encoder.text(ids))
