"""How far two rates of right answers to the same questions are apart."""

import math
from collections.abc import Sequence

from parfocal.training.intervals.distributions import normal_quantile
from parfocal.training.intervals.figures import LEVEL, Difference, Interval
from parfocal.training.intervals.proportions import wilson

POWER = 0.8


def exact_p_value(only_first: int, only_second: int) -> float:
    """Of as many questions or more that only one model answers right, if both were equally good: two-sided.

    The exact form of McNemar's test (1947): the sign test over the pairs that differ.

    >>> exact_p_value(6, 0), exact_p_value(3, 3)
    (0.03125, 1.0)
    """
    differing = only_first + only_second
    if differing == 0:
        return 1.0
    as_far = sum(math.comb(differing, more) for more in range(max(only_first, only_second), differing + 1))
    return min(1.0, float(2 * as_far / 2**differing))


def rate_difference(first: Sequence[bool], second: Sequence[bool]) -> Difference:
    """How much higher the rate of `first` is than that of `second`, question by question.

    The interval is Newcombe's hybrid score interval for paired rates (1998, method 10), stretched to hold 0
    where the exact test does not tell the two apart.
    """
    pairs = list(zip(first, second, strict=True))
    both, only_first = pairs.count((True, True)), pairs.count((True, False))
    only_second = pairs.count((False, True))
    p_value = exact_p_value(only_first, only_second)
    interval = _newcombe(both, only_first, only_second, len(pairs))
    if p_value > 1 - LEVEL:
        interval = interval.with_zero()
    value = (only_first - only_second) / len(pairs)
    return Difference(value, interval, detectable_rate((only_first + only_second), len(pairs)), p_value)


def detectable_rate(differing: int, questions: int) -> float | None:
    """The smallest difference that the exact test would have shown four times in five.

    As many questions are taken to be answered differently as were (Connor 1987), and no fewer than the six
    without which the test never tells two models apart. None where so few were asked.
    """
    fewest = next(n for n in range(1, questions + 2) if 2 * 0.5**n <= 1 - LEVEL or n > questions)
    if fewest > questions:
        return None
    share = max(differing, fewest) / questions
    z_level, z_power = normal_quantile((1 + LEVEL) / 2), normal_quantile(POWER)
    low, high = 0.0, share
    for _ in range(60):
        middle = (low + high) / 2
        needed = (z_level * math.sqrt(share) + z_power * math.sqrt(max(share - middle * middle, 0))) / (
            math.sqrt(questions)
        )
        low, high = (middle, high) if middle < needed else (low, middle)
    return max(high, fewest / questions)


def _newcombe(both: int, only_first: int, only_second: int, count: int) -> Interval:
    neither = count - both - only_first - only_second
    rights = both + only_first, both + only_second
    rates = [right / count for right in rights]
    first, second = (wilson(right, count) for right in rights)
    related = _relation(both, only_first, only_second, neither)
    below = _joined(rates[0] - first.low, second.high - rates[1], related)
    above = _joined(first.high - rates[0], rates[1] - second.low, related)
    difference = rates[0] - rates[1]
    return Interval(max(difference - below, -1.0), min(difference + above, 1.0))


def _relation(both: int, only_first: int, only_second: int, neither: int) -> float:
    """The correlation of the two answers, corrected for continuity as Newcombe does."""
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    cross = float(both * neither - only_first * only_second)
    if cross > 0:
        cross = max(cross - (both + only_first + only_second + neither) / 2, 0.0)
    return cross / math.sqrt(margins)


def _joined(one: float, other: float, related: float) -> float:
    return math.sqrt(max(one * one - 2 * related * one * other + other * other, 0.0))
