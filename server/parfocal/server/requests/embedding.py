"""Requests for embeddings: what is asked, and what came of it. Knows no wire and no queue."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from parfocal.engine import (
    AdapterKey,
    Completion,
    EngineError,
    FinishReason,
    InvalidRequest,
    Pooling,
    PromptTooLong,
    Request,
    RequestTooLarge,
)
from parfocal.server.errors import BadRequest, ServerError
from parfocal.server.requests.account import Account
from parfocal.server.requests.adapters import Manner, Resolved
from parfocal.server.requests.calls import Blend, Input, check_blend, check_id, hold
from parfocal.server.requests.prompts import PromptEncoder
from parfocal.server.requests.seams import DeltaStream
from parfocal.v1.limits import EMBED_INPUTS, SPLIT_KEY_CHARACTERS


class EmbeddingCut(ServerError):
    """The prompt was not read to its end: its deadline passed, or the server is stopping."""

    status = "DEADLINE_EXCEEDED"
    reason = "EMBEDDING_CUT"


@dataclass(frozen=True, slots=True)
class EmbedCall:
    """A request whose adapter and tokens are not known yet; each of `inputs` becomes a vector."""

    adapter: str
    inputs: tuple[Input, ...]
    pooling: Pooling
    normalised: bool
    request_id: str
    blend: Blend = ()
    split_key: str = ""

    def check(self) -> None:
        """Raises BadRequest naming the field at fault, as the wire's messages call it."""
        if not self.inputs:
            raise BadRequest("there is nothing to embed; give at least one input", field="inputs")
        hold(EMBED_INPUTS, len(self.inputs), "inputs")
        if self.blend:
            check_blend(self.adapter, self.blend)
        check_id(self.request_id)
        hold(SPLIT_KEY_CHARACTERS, len(self.split_key), "split_key")

    def requests(
        self, ids: Sequence[tuple[int, ...]], adapter: AdapterKey | None, deadline: float | None
    ) -> list[Request]:
        """The engine's requests, one for each input; `deadline` is a `time.monotonic()` instant."""
        return [
            Request(
                request_id=f"{self.request_id}/{place}",
                prompt_ids=each,
                adapter=adapter,
                deadline=deadline,
                pooling=self.pooling,
                normalised=self.normalised,
            )
            for place, each in enumerate(ids)
        ]


@dataclass(frozen=True, slots=True)
class Embedding:
    """An admitted request: a stream for each input, whose completion has the vector."""

    account: Account
    streams: tuple[DeltaStream, ...]
    resolved: Resolved

    def cancel(self) -> None:
        """Ends what still runs."""
        for stream in self.streams:
            stream.cancel()

    async def vectors(self) -> tuple[Completion, ...]:
        """A completion with an embedding for each input, in their order.

        Raises what ends one of them without, EmbeddingCut for one that was cut, and then ends the others.
        """
        try:
            completions = await asyncio.gather(*map(_completion, self.streams))
        except EngineError as error:
            self.account.failed(error)
            raise
        finally:
            self.cancel()
        self.account.embedded(completions)
        for place, each in enumerate(completions):
            if not each.embedding:
                raise _cut(place, each.finish_reason)
        return tuple(completions)


def encoded_inputs(call: EmbedCall, encoder: PromptEncoder, manner: Manner) -> list[tuple[int, ...]]:
    """Token ids of each input; an error names the input."""
    ids = []
    for place, each in enumerate(call.inputs):
        with naming_input(place):
            ids.append(each.encode(encoder, manner))
    return ids


@contextmanager
def naming_input(place: int) -> Iterator[None]:
    """Says of what is refused within the scope which input it was."""
    try:
        yield
    except (BadRequest, InvalidRequest, PromptTooLong, RequestTooLarge) as error:
        name = f"inputs[{place}]"
        raise type(error)(f"{name}: {error}", field=name) from error


async def _completion(stream: DeltaStream) -> Completion:
    async for delta in stream:
        if delta.completion is not None:
            return delta.completion
    raise EngineError("the request ended without a result")


def _cut(place: int, reason: FinishReason) -> EmbeddingCut:
    cause = "its deadline passed" if reason is FinishReason.DEADLINE else "it was cancelled"
    return EmbeddingCut(f"inputs[{place}] was not read to its end, because {cause}; send it again")
