"""Sends a round of requests when each is due and counts from then. Knows neither wire nor figures."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from parfocal.bench.workloads import Call


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's times in seconds: to its first token, and from each token to the next.

    The first counts from when the request was due, so a client or server that lags behind shows.
    `cached_tokens` of the prompt were not computed again.
    """

    first_token_s: float
    gaps_s: tuple[float, ...]
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class Round:
    """All answers of a round; `seconds` from the first request sent to the last answer complete."""

    seconds: float
    tokens: int
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a wire saw of one answer: when each token arrived, by `time.perf_counter`."""

    arrivals: Sequence[float]
    cached_tokens: int


def _nobody() -> None:
    """Ignores the answer."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How calls follow each other: at most `in_flight` at once; `answered` is called after each."""

    in_flight: int | None = None
    answered: Callable[[], None] = _nobody


async def answer_all(
    calls: Sequence[Call], new_tokens: int, ask: Callable[[Call], Awaitable[Reply]], pace: Pace | None = None
) -> Round:
    """Sends each call when it is due, whatever happened to those before it, and reads each to its end.

    Where only some may be in flight, a call is due when its turn comes. Raises what the first failing `ask`
    raises.
    """
    pace = pace or Pace()
    room = asyncio.Semaphore(pace.in_flight) if pace.in_flight else contextlib.nullcontext()

    async def answer(call: Call) -> Answer:
        async with room:
            due = time.perf_counter() if pace.in_flight else begun + call.arrives_s
            answered = await _answer(call, due, ask)
        pace.answered()
        return answered

    begun = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(call)) for call in calls]
    except ExceptionGroup as failed:
        # One failure explains why there is no figure; the group has cancelled the others.
        raise failed.exceptions[0] from None
    seconds = time.perf_counter() - begun
    return Round(seconds, len(calls) * new_tokens, tuple(task.result() for task in tasks))


async def _answer(call: Call, due: float, ask: Callable[[Call], Awaitable[Reply]]) -> Answer:
    await asyncio.sleep(max(0.0, due - time.perf_counter()))
    reply = await ask(call)
    gaps = tuple(later - earlier for earlier, later in pairwise(reply.arrivals))
    return Answer(reply.arrivals[0] - due, gaps, reply.cached_tokens)
