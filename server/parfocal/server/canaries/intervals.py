"""Intervals that hold at every moment at which somebody looks at them, not at one chosen beforehand.

A canary is looked at after each of its requests, and is aborted the first time that it seems worse. With an
ordinary interval of 95 % that would abort most canaries sooner or later, good ones too: each look is another
chance to be wrong. Robbins' normal mixture gives intervals none of which, at any moment, leaves out the truth
but with the probability stated; they are 1.5 to 1.8 times as wide as ordinary ones.

Sources: H. Robbins, Statistical methods related to the law of the iterated logarithm, 1970; I. Waudby-Smith
et al., Time-uniform central limit theory and asymptotic confidence sequences, 2024; R. Newcombe, Interval
estimation for the difference between independent proportions, 1998.
"""

import math
from dataclasses import dataclass

# The mixture is narrowest at about eight times this share of the samples that a guard waits for.
_MIXTURE_SHARE = 1 / 8


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(slots=True)
class Moments:
    """Count, mean and spread of numbers that come one by one (Welford)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Takes one number."""
        self.count += 1
        off = value - self.mean
        self.mean += off / self.count
        self.squares += off * (value - self.mean)

    @property
    def variance(self) -> float:
        """The variance of the numbers; 0 below two of them."""
        return self.squares / (self.count - 1) if self.count > 1 else 0.0


def always_valid_z(one: int, other: int, samples: int, alpha: float) -> float:
    """How many standard errors reach to either side, where two groups have so many samples by now.

    `samples` is when the first look is taken; the intervals of all looks together leave out the truth with a
    probability of `alpha`.
    """
    effective = 1 / (1 / one + 1 / other)
    mixture = samples * _MIXTURE_SHARE
    return math.sqrt((1 + mixture / effective) * math.log((effective + mixture) / (mixture * alpha * alpha)))


def share_difference(one: tuple[int, int], other: tuple[int, int], z: float) -> Interval:
    """The first share minus the second, each as (hits, of); Newcombe's, which holds for shares near 0 too."""
    first, second = _wilson(*one, z), _wilson(*other, z)
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    value = first.value - second.value
    return Interval(value, max(-1.0, value - below), min(1.0, value + above))


def ratio_of_means(one: Moments, other: Moments, z: float) -> Interval:
    """The first geometric mean relative to the second, minus 1; both hold logarithms.

    Times and lengths have long tails, of which a mean of logarithms is not at the mercy.
    """
    off = one.mean - other.mean
    error = z * math.sqrt(one.variance / one.count + other.variance / other.count)
    return Interval(math.expm1(off), math.expm1(off - error), math.expm1(off + error))


def _wilson(hits: int, of: int, z: float) -> Interval:
    share, square = hits / of, z * z / of
    centre = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / of + square / (4 * of))
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))
