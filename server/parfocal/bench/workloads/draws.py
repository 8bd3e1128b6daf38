"""What chance decides in a workload: who is asked, how long prompts are, when they come. Always seeded."""

import random
from itertools import accumulate, repeat


def popular_numbers(draw: random.Random, exponent: float, among: int, count: int) -> list[int]:
    """`count` numbers below `among`; number n comes with a chance proportional to (n + 1)^-exponent.

    >>> popular_numbers(random.Random(0), 0.0, 1, 3)
    [0, 0, 0]
    """
    weights = [(number + 1) ** -exponent for number in range(among)]
    return draw.choices(range(among), weights, k=count)


def uniform_lengths(draw: random.Random, shortest: int, longest: int, count: int) -> list[int]:
    """`count` lengths, each from `shortest` to `longest` with the same chance."""
    return [draw.randint(shortest, longest) for _ in range(count)]


def poisson_arrivals(draw: random.Random, per_second: float, count: int) -> list[float]:
    """When requests arrive, in seconds from the first, as independent people send them.

    >>> poisson_arrivals(random.Random(0), 5.0, 1)
    [0.0]
    """
    gaps = (draw.expovariate(per_second) for _ in repeat(None, count - 1))
    return list(accumulate(gaps, initial=0.0))
