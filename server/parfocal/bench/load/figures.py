"""Turns timed rounds into the figures that a bench prints. Knows neither servers nor tables."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.bench.load.rounds import Round


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, the 90th and the 99th percentile of many times, in seconds."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What several rounds of the same work gave.

    `tokens_per_second` is the median round's: generated tokens over the whole wall time, prompts included.
    The times are of all rounds' requests and tokens together.
    """

    tokens_per_second: float
    rounds: tuple[float, ...]
    ttft: Spread
    inter_token: Spread
    cached_tokens: int


def figures_of(rounds: Sequence[Round]) -> Figures:
    """The figures of one or more rounds."""
    answers = [answer for each in rounds for answer in each.answers]
    speeds = tuple(each.tokens / each.seconds for each in rounds)
    return Figures(
        tokens_per_second=statistics.median(speeds),
        rounds=speeds,
        ttft=_spread([answer.first_token_s for answer in answers]),
        inter_token=_spread([gap for answer in answers for gap in answer.gaps_s]),
        cached_tokens=sum(answer.cached_tokens for answer in answers),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, interpolated between neighbours.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5)
    2.5
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _spread(seconds: Sequence[float]) -> Spread:
    """One-token answers have no token after another; their time from token to token is 0."""
    if not seconds:
        return Spread(0.0, 0.0, 0.0)
    return Spread(percentile(seconds, 0.5), percentile(seconds, 0.9), percentile(seconds, 0.99))
