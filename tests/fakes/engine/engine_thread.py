"""An engine that computes nothing: it says what it is told to, when told to. Looks like EngineThread."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from parfocal.engine import Completion, Delta, FinishReason, Request, Timings, TokenLogprob
from parfocal.engine.parts import AdapterStatus
from parfocal.engine.scheduling.admission import Admission

WORDS = ("Once", " upon", " a", " time")


@dataclass
class FakeEngineThread:
    """Answers every request with `words`, one delta each.

    While `gate` is closed no delta goes out, except to a cancelled stream; after `closes_after` deltas of a
    stream it closes by itself. `refusal` is raised by `submit`, `failure` after the first delta.
    """

    words: tuple[str, ...] = WORDS
    admission: Admission = field(default_factory=lambda: Admission(64, 4096, 0x110000))
    closes_after: int | None = None
    refusal: Exception | None = None
    failure: Exception | None = None
    statuses: list[AdapterStatus] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    submitted: list["FakeStream"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    def submit(self, request: Request) -> "FakeStream":
        """Checks the request as the engine does and returns its stream."""
        self.admission.check(request)
        if self.refusal is not None:
            raise self.refusal
        self.submitted.append(FakeStream(self, request))
        return self.submitted[-1]

    def adapters(self) -> list[AdapterStatus]:
        """Returns what the test put there."""
        return self.statuses


class PromptRead(Sequence[TokenLogprob | None]):
    """Each token of a prompt with its own id, and the next ones, the likelier the smaller they are.

    As the engine's: entries are made when they are read.
    """

    def __init__(self, request: Request) -> None:
        self._ids = request.prompt_ids
        self._width = range(request.prompt_logprobs or 0)

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> TokenLogprob | None: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[TokenLogprob | None, ...]: ...

    def __getitem__(self, index: int | slice) -> TokenLogprob | tuple[TokenLogprob | None, ...] | None:
        places = range(len(self))[index]
        return self._entry(places) if isinstance(places, int) else tuple(map(self._entry, places))

    def _entry(self, place: int) -> TokenLogprob | None:
        if place == 0:
            return None
        own = self._ids[place]
        return TokenLogprob(own, -0.25, tuple((own + n, -0.25 - n) for n in self._width))


class FakeStream:
    """One request's scripted deltas."""

    def __init__(self, engine: FakeEngineThread, request: Request) -> None:
        self.request = request
        self.cancelled = asyncio.Event()
        self.ended = asyncio.Event()
        self._engine = engine

    def cancel(self) -> None:
        """Ends the request with what was said so far."""
        if not self.ended.is_set():
            self.cancelled.set()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        said, prompt = 0, self._prompt_logprobs()
        if not self._words():
            await self._turn()
        for said, word in enumerate(self._words(), start=1):
            await self._turn()
            if self.cancelled.is_set():
                said -= 1
                break
            if said > 1 and self._engine.failure is not None:
                self.ended.set()
                raise self._engine.failure
            if said == self._engine.closes_after:
                self._engine.gate.clear()
            yield Delta(word, (said,), self._logprobs(said, said), None, prompt if said == 1 else ())
        self.ended.set()
        yield Delta("", (), (), self._completion(said), () if said else prompt)

    async def _turn(self) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._engine.gate, self.cancelled)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _words(self) -> tuple[str, ...]:
        is_silent = self.request.pooling is not None
        return () if is_silent else self._engine.words[: self.request.stop.max_tokens]

    def _prompt_logprobs(self) -> Sequence[TokenLogprob | None]:
        return () if self.request.prompt_logprobs is None else PromptRead(self.request)

    def _logprobs(self, first: int, last: int) -> tuple[TokenLogprob, ...]:
        if not self.request.logprobs:
            return ()
        top = tuple((50 + place, -1.0 - place) for place in range(self.request.top_logprobs))
        return tuple(TokenLogprob(64 + token, -0.5, top) for token in range(first, last + 1))

    def _completion(self, said: int) -> Completion:
        return Completion(
            request_id=self.request.request_id,
            text="".join(self._words()[:said]),
            token_ids=tuple(range(1, said + 1)),
            finish_reason=FinishReason.CANCELLED if self.cancelled.is_set() else FinishReason.STOP,
            stop_string="",
            logprobs=self._logprobs(1, said),
            prompt_tokens=len(self.request.prompt_ids),
            cached_tokens=2,
            timings=Timings(queue=0.25, load=0.125, prefill=0.5, decode=1.5),
            adapter=self.request.adapter,
            prompt_logprobs=self._prompt_logprobs(),
            embedding=self._embedding(),
        )

    def _embedding(self) -> tuple[float, ...]:
        """The prompt's length and first token."""
        if self.request.pooling is None or self.cancelled.is_set():
            return ()
        return (float(len(self.request.prompt_ids)), float(self.request.prompt_ids[0]))
