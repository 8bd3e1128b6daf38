"""Completions and chat completions: from call to reply, whole or as events. Knows no body's fields."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

from parfocal.engine import Completion, Delta
from parfocal.server.faces.openai.connection import encoded
from parfocal.server.faces.openai.replies import Head, Json, usage
from parfocal.server.requests import Generation, size_of

P = ParamSpec("P")
T = TypeVar("T")

# Of an answer, counted with those of the likeliest tokens: written in some milliseconds.
_MANY_LOGPROBS = 2000


class Writer(Protocol):
    """Writes the choices of one prompt; `ChatReplies` and `TextReplies` do."""

    def choice(self, number: int, completion: Completion) -> Json:
        """A whole answer."""

    def first(self, number: int) -> Json | None:
        """The chunk that opens an answer, if it has one."""

    def chunks(self, number: int, delta: Delta) -> Iterable[Json]:
        """What a piece of an answer says, and with the last piece how it ended."""


@dataclass(frozen=True, slots=True)
class Prompted:
    """One prompt of a request, running or queued; its choices are numbered from `first` on."""

    generation: Generation
    writer: Writer
    first: int = 0

    @property
    def choices(self) -> range:
        """The numbers of its choices."""
        return range(self.first, self.first + len(self.generation.streams))


async def whole(head: Head, prompts: Sequence[Prompted]) -> bytes:
    """The reply to a request, once every choice has ended."""
    try:
        groups = await asyncio.gather(*(_completions(each.generation) for each in prompts))
    finally:
        cancel(prompts)

    def reply() -> bytes:
        choices = [
            each.writer.choice(number, completion)
            for each, group in zip(prompts, groups, strict=True)
            for number, completion in zip(each.choices, group, strict=True)
        ]
        return encoded({**head.begin(), "choices": choices, "usage": usage(groups)})

    return await aside(sum(size_of(each) for group in groups for each in group), reply)


def cancel(prompts: Sequence[Prompted]) -> None:
    """Ends what still runs of them."""
    for each in prompts:
        each.generation.cancel()


async def events(
    head: Head, kind: str, prompts: Sequence[Prompted], with_usage: bool
) -> AsyncIterator[bytes]:
    """The reply as chunks; with usage, one more that has no choice."""
    begin = head.begin(kind)
    groups: list[list[Completion]] = []
    for each in prompts:
        for number in each.choices:
            if (opening := each.writer.first(number)) is not None:
                yield encoded({**begin, "choices": [opening]})
        ended: list[Completion] = []
        async with aclosing(each.generation.deltas()) as deltas:
            async for choice, delta in deltas:
                for chunk in await aside(size_of(delta), _chunks, begin, each, choice, delta):
                    yield chunk
                if delta.completion is not None:
                    ended.append(delta.completion)
        groups.append(ended)
    if with_usage:
        yield encoded({**begin, "choices": [], "usage": usage(groups)})


async def aside(size: int, write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `write` returns, from a thread where `size` log-probabilities would hold up others on the loop."""
    if size <= _MANY_LOGPROBS:
        return write(*args, **kwargs)
    return await asyncio.to_thread(write, *args, **kwargs)


def _chunks(begin: Json, prompted: Prompted, choice: int, delta: Delta) -> list[bytes]:
    chunks = prompted.writer.chunks(prompted.first + choice, delta)
    return [encoded({**begin, "choices": [chunk]}) for chunk in chunks]


async def _completions(generation: Generation) -> list[Completion]:
    ended: dict[int, Completion] = {}
    async with aclosing(generation.deltas()) as deltas:
        async for choice, delta in deltas:
            if delta.completion is not None:
                ended[choice] = delta.completion
    return [ended[choice] for choice in sorted(ended)]
