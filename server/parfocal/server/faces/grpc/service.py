"""InferenceService: from message to engine to reply. Knows no torch, tokenizer or storage."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from parfocal.engine import AdapterKey, Completion
from parfocal.rpc import Context, current_call, current_caller, hold_to, when_this_task_ends
from parfocal.rpc.access import Caller
from parfocal.server.errors import BadRequest
from parfocal.server.faces.grpc.batches import answer_each
from parfocal.server.faces.grpc.loaded_adapters import loaded_page
from parfocal.server.faces.grpc.model import seen_model
from parfocal.server.faces.grpc.replies import ReplyWriter, StreamWriter, TokenText, embed_response
from parfocal.server.faces.grpc.requests import (
    asked_for,
    deadline_after,
    read_embed,
    read_generate,
    read_input,
)
from parfocal.server.metrics import AdapterLister
from parfocal.server.requests import (
    Account,
    EncoderPool,
    Generation,
    Intake,
    Line,
    PromptEncoder,
    RefusalCounter,
    Resolver,
    hold,
    size_of,
)
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc
from parfocal.v1.limits import BATCH_REQUESTS, PROMPT_TOKENS, SPLIT_KEY_CHARACTERS

P = ParamSpec("P")
T = TypeVar("T")

_GENERATE = "parfocal.v1.InferenceService/Generate"

# Of an answer, counted with those of the likeliest tokens: written in some milliseconds.
_MANY_LOGPROBS = 2000
# As many numbers of a vector are written in the time of a log-probability.
_PER_LOGPROB = 32


@dataclass(frozen=True, slots=True)
class ServiceParts:
    """What the service works with. `model` is the reply to GetModel."""

    intake: Intake
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
        return await self._answer(request, context, current_call())

    async def GenerateBatch(
        self, request: pb.GenerateBatchRequest, context: Context
    ) -> pb.GenerateBatchResponse:
        """Each request's whole answer, or the status that it ended with."""
        hold(BATCH_REQUESTS, len(request.requests), "requests")
        if not request.requests:
            raise BadRequest("the batch is empty; give it at least one request", field="requests")

        def answer(each: pb.GenerateRequest, line: Line) -> Awaitable[pb.GenerateResponse]:
            return self._answer(each, context, line, is_part=True)

        return await answer_each(request.requests, answer, current_call())

    async def _answer(
        self, request: pb.GenerateRequest, context: Context, line: Line, *, is_part: bool = False
    ) -> pb.GenerateResponse:
        generation = await self._admit(request, context, line, is_part=is_part)
        writer = self._writer(generation)
        ended: dict[int, Completion] = {}
        async for choice, delta in generation.deltas():
            if delta.completion is not None:
                ended[choice] = delta.completion
        completions = [ended[choice] for choice in sorted(ended)]
        return await self._built(sum(map(size_of, completions)), writer.response, completions)

    async def GenerateStream(
        self, request: pb.GenerateRequest, context: Context
    ) -> AsyncIterator[pb.GenerateStreamResponse]:
        """Streams the answer as it becomes certain."""
        generation = await self._admit(request, context, current_call())
        writer = StreamWriter(self._writer(generation), len(generation.streams))
        async for choice, delta in generation.deltas():
            size = writer.size(delta)
            # Most messages have a token or two, and a call for each adds up.
            if size <= _MANY_LOGPROBS:
                yield writer.delta(choice, delta)
            else:
                yield await self._built(size, writer.delta, choice, delta)

    async def Embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        """A vector for each input."""
        account = Account(current_call(), self._parts.refusals, request.request_id, asked_for(request))
        deadline = deadline_after(context.time_remaining())
        with account:
            call = read_embed(request, account.request_id)
            embedding = await self._parts.intake.embed(call, account, deadline)
        when_this_task_ends(embedding.cancel)
        completions = await embedding.vectors()
        numbers = len(completions) * len(completions[0].embedding)
        return await self._built(numbers // _PER_LOGPROB, embed_response, completions, account.request_id)

    async def Tokenize(self, request: pb.TokenizeRequest, context: Context) -> pb.TokenizeResponse:
        """The token ids that Generate would use, and each one's text."""
        given = read_input(request)
        hold(SPLIT_KEY_CHARACTERS, len(request.split_key), "split_key")
        resolved = await self._parts.resolver.resolve(request.adapter, request.split_key)

        def tokenised(encoder: PromptEncoder) -> pb.TokenizeResponse:
            ids = given.encode(encoder, resolved.manner)
            return pb.TokenizeResponse(token_ids=ids, texts=encoder.texts(ids))

        return await self._parts.encoders.run(tokenised)

    async def Detokenize(self, request: pb.DetokenizeRequest, context: Context) -> pb.DetokenizeResponse:
        """What the tokens spell."""
        hold(PROMPT_TOKENS, len(request.token_ids), "token_ids")
        if not request.token_ids:
            raise BadRequest("there are no token ids; give at least one", field="token_ids")
        size = self._parts.model.vocabulary_size

        def spelt(encoder: PromptEncoder) -> str:
            ids = tuple(request.token_ids)
            wrong = next((each for each in (min(ids), max(ids)) if not 0 <= each < size), None)
            if wrong is not None:
                raise BadRequest(
                    f"token_ids has {wrong}; the vocabulary has ids from 0 to {size - 1}", field="token_ids"
                )
            return encoder.text(ids)

        return pb.DetokenizeResponse(text=await self._parts.encoders.run(spelt))

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.Model:
        """The resident base and the limits."""
        return seen_model(self._parts.model, current_caller())

    async def ListLoadedAdapters(
        self, request: pb.ListLoadedAdaptersRequest, context: Context
    ) -> pb.ListLoadedAdaptersResponse:
        """A page of the adapters that the engine holds now."""
        caller = current_caller()
        seen = [each for each in self._parts.residents.adapters() if _sees(caller, each.adapter)]
        return loaded_page(seen, request)

    def _writer(self, generation: Generation) -> ReplyWriter:
        return ReplyWriter(self._parts.token_text, generation.echo, generation.warnings, generation.tools)

    async def _admit(
        self, message: pb.GenerateRequest, context: Context, line: Line, *, is_part: bool = False
    ) -> Generation:
        account = Account(line, self._parts.refusals, message.request_id, asked_for(message))
        deadline = deadline_after(context.time_remaining())
        with account:
            if is_part:  # the rpc's own message was held to its rule when it was parsed, and names no adapter
                hold_to(_GENERATE, message)
            call = read_generate(message, account.request_id)
            generation = await self._parts.intake.admit(call, account, deadline)
        # Cancel on any RPC end. Keep this line await-free after admit().
        when_this_task_ends(generation.cancel)
        return generation

    async def _built(self, size: int, write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `write` returns, from a thread where that would hold up the others on the loop."""
        if size <= _MANY_LOGPROBS:
            return write(*args, **kwargs)
        return await self._parts.encoders.run(lambda _: write(*args, **kwargs))


def _sees(caller: Caller, adapter: AdapterKey) -> bool:
    """Whether the caller sees an adapter; of a blend, each part."""
    names = [part.name for part, _ in adapter.parts] or [adapter.name]
    return all(map(caller.sees, names))
