"""The interval of one rate."""

import math

from parfocal.training.intervals.distributions import normal_quantile
from parfocal.training.intervals.figures import LEVEL, Interval


def wilson(successes: int, trials: int) -> Interval:
    """The score interval of a rate (Wilson 1927), which stays from 0 to 1 also for few trials.

    >>> found = wilson(0, 10)
    >>> round(found.low, 3), round(found.high, 3)
    (0.0, 0.278)
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} of {trials} is no rate")
    z = normal_quantile((1 + LEVEL) / 2)
    rate, spread = successes / trials, z * z / trials
    middle = (rate + spread / 2) / (1 + spread)
    half = z * math.sqrt(rate * (1 - rate) / trials + spread / (4 * trials)) / (1 + spread)
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == trials else middle + half
    return Interval(low, high)
