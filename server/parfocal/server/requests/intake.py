"""The way of a request into the engine, the same from every face: resolve, encode, submit. Knows no wire."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from parfocal.engine import Completion, Delta, EngineError, Request, TokenLogprob
from parfocal.engine.constraints import ConstraintSpec
from parfocal.server.canaries import Splits
from parfocal.server.requests.account import Account, Share
from parfocal.server.requests.adapters import Resolved
from parfocal.server.requests.blending import resolve_blend
from parfocal.server.requests.calls import GenerateCall, Input
from parfocal.server.requests.embedding import EmbedCall, Embedding, encoded_inputs, naming_input
from parfocal.server.requests.prompts import EncoderPool
from parfocal.server.requests.seams import Compiler, DeltaStream, Resolver, Submitter
from parfocal.server.requests.tool_calls import ToolUse

_NO_CALLS = "the whole answer is held to the form asked for, so that it calls no tool; ask for one of the two"

# The engine looks at every prompt's tokens when it is submitted: as many as take it some milliseconds.
_TOKENS_AT_A_TIME = 1 << 17


_Arrived = asyncio.Queue[tuple[int, Delta] | BaseException]


@dataclass(frozen=True, slots=True)
class Generation:
    """An admitted request: a stream of deltas for each choice.

    `echo` is what stands before each answer: the prompt, or nothing. `warnings` are sentences for the caller.
    `tools` tells how answers call tools, where there are any.
    """

    account: Account
    streams: tuple[DeltaStream, ...]
    resolved: Resolved
    prompt_ids: tuple[int, ...]
    echo: str = ""
    warnings: tuple[str, ...] = ()
    tools: ToolUse | None = None

    def cancel(self) -> None:
        """Ends every choice; no effect on those that have ended."""
        for stream in self.streams:
            stream.cancel()

    async def deltas(self) -> AsyncGenerator[tuple[int, Delta], None]:
        """Each choice's deltas as they come, with its number; the last of each has a completion.

        Raises what ends a choice without one, and then ends the others.
        """
        try:
            async for pair in self._merged() if len(self.streams) > 1 else self._alone():
                yield pair
        except EngineError as error:
            self.account.failed(error)
            raise

    async def _alone(self) -> AsyncIterator[tuple[int, Delta]]:
        async for delta in self.streams[0]:
            self.account.progressed(delta)
            yield 0, delta
            if delta.completion is not None:
                return
        raise EngineError("the request ended without a result")

    async def _merged(self) -> AsyncIterator[tuple[int, Delta]]:
        arrived: _Arrived = asyncio.Queue()
        readers = [asyncio.ensure_future(_read(*pair, arrived)) for pair in enumerate(self.streams)]
        try:
            running = len(readers)
            while running:
                came = await arrived.get()
                if isinstance(came, BaseException):
                    try:
                        raise came
                    finally:
                        del came  # it has this frame
                running -= came[1].completion is not None
                self.account.progressed(came[1])
                yield came
        finally:
            self.cancel()
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers)
            # An error has the frames that it went through: left here, it would keep the request in a cycle.
            while not arrived.empty():
                arrived.get_nowait()


class Intake:
    """Takes calls in. Adapters are resolved once, here; a refusal is counted by the call's account."""

    def __init__(
        self,
        engine: Submitter,
        resolver: Resolver,
        encoders: EncoderPool,
        compiler: Compiler,
        splits: Splits | None = None,
    ) -> None:
        self._engine = engine
        self._resolver = resolver
        self._encoders = encoders
        self._compiler = compiler
        self._splits = splits

    async def admit(self, call: GenerateCall, account: Account, deadline: float | None) -> Generation:
        """The request, running or queued; cancel it when its caller leaves, before anything else is awaited.

        Raises what resolving, encoding, compiling and submitting raise.
        """
        resolved = await self._resolved(call)
        account.resolved(resolved.adapter, self._share(resolved))
        ids, warnings, tools = await self._encoded(call.input, resolved)
        account.admitted(len(ids))
        form = _form(call, tools)
        if tools is not None and form is not None and form is call.output_format:
            warnings = (*warnings, _NO_CALLS)
        constraint = None if form is None else await self._compiler.compile(form)
        streams = self._submitted(call.requests(ids, resolved.adapter, deadline, constraint))
        generation = Generation(account, streams, resolved, ids, "", warnings, tools)
        return await self._echoing(generation, call) if call.echo else generation

    async def embed(self, call: EmbedCall, account: Account, deadline: float | None) -> Embedding:
        """The request, running or queued; as in `admit`, it must be cancelled when its caller leaves."""
        resolved = await self._resolved(call)
        account.resolved(resolved.adapter, self._share(resolved))
        ids = await self._encoders.run(lambda encoder: encoded_inputs(call, encoder, resolved.manner))
        account.admitted(sum(map(len, ids)))
        streams: list[DeltaStream] = []
        unseen = 0
        try:
            for place, request in enumerate(call.requests(ids, resolved.adapter, deadline)):
                with naming_input(place):
                    streams += self._submitted([request])
                unseen += len(request.prompt_ids)
                if unseen > _TOKENS_AT_A_TIME:
                    unseen = 0
                    await asyncio.sleep(0)
        except BaseException:  # a caller may leave while others have the loop: only this knows the streams
            for stream in streams:
                stream.cancel()
            raise
        return Embedding(account, tuple(streams), resolved)

    async def _resolved(self, call: GenerateCall | EmbedCall) -> Resolved:
        key = call.split_key or call.request_id
        if call.blend:
            return await resolve_blend(self._resolver, call.blend, key)
        return await self._resolver.resolve(call.adapter, key)

    def _share(self, resolved: Resolved) -> Share | None:
        """Where it is told how a request of an alias with a canary ends."""
        if self._splits is None or resolved.arm is None:
            return None
        return partial(self._splits.ended, resolved.arm)

    async def _echoing(self, generation: Generation, call: GenerateCall) -> Generation:
        """With the prompt as it was sent, or as its tokens spell it, which the engine has checked."""
        try:
            ids = generation.prompt_ids
            echo = call.prompt or await self._encoders.run(lambda encoder: encoder.text(ids))
        except BaseException:  # a caller may leave meanwhile: only this knows the generation
            generation.cancel()
            raise
        return replace(generation, echo=echo)

    def _submitted(self, requests: list[Request]) -> tuple[DeltaStream, ...]:
        """All of them or none: where one is refused, those before it are cancelled."""
        streams: list[DeltaStream] = []
        try:
            for request in requests:
                streams.append(self._engine.submit(request))
        except EngineError:
            for stream in streams:
                stream.cancel()
            raise
        return tuple(streams)

    async def _encoded(
        self, given: Input, resolved: Resolved
    ) -> tuple[tuple[int, ...], tuple[str, ...], ToolUse | None]:
        """The prompt's token ids, warnings for the caller about its form, and how tools are called."""
        manner = resolved.manner
        ids, unread, form = await self._encoders.run(
            lambda encoder: (
                given.encode(encoder, manner),
                encoder.unread(given.variables, manner.template),
                encoder.call_format(manner.template) if given.tools else None,
            ),
            is_short=given.is_short,
        )
        about = [f"the chat template does not read the template variable {name!r}" for name in unread]
        tools = None if form is None else ToolUse(form, given.tools, given.single)
        return ids, (*resolved.warnings(given.form), *about), tools


def size_of(told: Completion | Delta) -> int:
    """How many log-probabilities there are to tell of it, those of the likeliest too."""
    if not told.logprobs and not told.prompt_logprobs:
        return 0
    return _count(told.logprobs) + _count(told.prompt_logprobs)


async def _read(choice: int, stream: DeltaStream, arrived: _Arrived) -> None:
    """Passes on what a choice says, and what ended it; raises nothing, for the task would keep it."""
    try:
        async for delta in stream:
            arrived.put_nowait((choice, delta))
    except BaseException as error:  # cancelled too: whoever merges the choices is told, the task keeps none
        arrived.put_nowait(error)


def _form(call: GenerateCall, tools: ToolUse | None) -> ConstraintSpec | None:
    """What the answer must look like: calls, where it must call, before all else."""
    must_call = call.input.must_call
    return call.output_format if must_call is None or tools is None else must_call.written(tools.form)


def _count(logprobs: Sequence[TokenLogprob | None]) -> int:
    last = logprobs[-1] if logprobs else None
    return len(logprobs) * (1 + len(last.top) if last else 1)
