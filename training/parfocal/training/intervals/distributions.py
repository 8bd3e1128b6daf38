"""Quantiles of Student's t and of the normal distribution, and the latter's tail.

Written here since the standard library has only the normal distribution.
"""

import math
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300
_TERMS = 500
_BISECTIONS = 200
_MOST_T = 1e6


def normal_quantile(probability: float) -> float:
    """The quantile of the standard normal distribution."""
    return _NORMAL.inv_cdf(probability)


def normal_tail(value: float) -> float:
    """The probability of a standard normal number below `value`, exact also far from 0."""
    return math.erfc(-value / math.sqrt(2)) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), by Lentz's continued fraction (DLMF 8.17.22); `a` and `b` above 0, `x` from 0 to 1.

    >>> round(incomplete_beta(2, 3, 0.5), 6)
    0.6875
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _continued_fraction(a, b, x) / a


def _continued_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d or _TINY)
    value = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / ((1 + term * d) or _TINY)
            c = (1 + term / c) or _TINY
            value *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return value


def t_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t for a probability of at least a half.

    >>> round(t_quantile(0.975, 4), 4)
    2.7764
    """
    low, high = 0.0, _MOST_T
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        tail = incomplete_beta(freedom / 2, 0.5, freedom / (freedom + middle * middle)) / 2
        low, high = (middle, high) if 1 - tail < probability else (low, middle)
    return (low + high) / 2
