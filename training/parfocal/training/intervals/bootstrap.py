"""Intervals by resampling whole clusters of rows: for figures whose spread no formula tells.

Rows of one cluster, such as those that ask the same question, say less than as many that share nothing.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from parfocal.training.intervals.distributions import normal_quantile, normal_tail, t_quantile
from parfocal.training.intervals.figures import LEVEL, Interval

Weights: TypeAlias = NDArray[np.float64]
# A figure over all rows, of which each counts as many times as its weight says.
Measure: TypeAlias = Callable[[Weights], float]

DRAWS = 2000
_POWER = 0.8
_SEED = 0
_CELLS = 1 << 22
_FEWEST_DRAWS = 500
_FEW, _MANY = 10, 2000
# With fewer even the exact test of signs, which supposes nothing of how figures spread, tells no two apart.
CLUSTERS_THAT_TELL = 6


class Resamples:
    """The same draws of clusters for every figure of the same rows, so that differences are paired."""

    def __init__(self, clusters: Sequence[Hashable]) -> None:
        names = {name: at for at, name in enumerate(dict.fromkeys(clusters))}
        self._of_row = np.array([names[name] for name in clusters], dtype=np.intp)
        self.rows = len(clusters)
        self.clusters = len(names)
        self._drawn: Weights | None = None

    @property
    def are_single(self) -> bool:
        """Whether no two rows are of one cluster."""
        return self.clusters == self.rows

    def mean(self, scores: Sequence[float]) -> tuple[float, Interval | None, float | None]:
        """The mean over all rows, its interval, and the least mean that could have been told from 0.

        The interval is the percentile interval over clusters (Efron 1979; Field and Welsh 2007), widened for
        few of them as Student's t is (Hesterberg 2015). Of fewer than ten, and of so many that the mean of
        draws is normal, it is Student's. None of one.
        """
        values = np.asarray(scores, dtype=np.float64)
        sums: Weights = np.bincount(self._of_row, weights=values, minlength=self.clusters).astype(np.float64)
        sizes = np.bincount(self._of_row, minlength=self.clusters).astype(np.float64)
        value = float(values.mean())
        if self.clusters < 2:
            return value, None, None
        error = _error_of_ratio(sums, sizes)
        if not _FEW <= self.clusters <= _MANY:
            reach = t_quantile((1 + LEVEL) / 2, self.clusters - 1) * error
            interval = Interval(value - reach, value + reach)
        else:
            counts = self._counts()
            interval = self._percentiles((counts @ sums) / (counts @ sizes))
        return value, interval, self._detectable(error)

    def measure(self, measure: Measure) -> tuple[float, Interval | None, float | None]:
        """As `mean`, of any figure over all rows."""
        value = measure(np.ones(self.rows))
        if self.clusters < 2:
            return value, None, None
        drawn = np.array([measure(row[self._of_row]) for row in self._counts()[: DRAWS // 4]])
        error = float(drawn.std()) * math.sqrt(self.clusters / (self.clusters - 1))
        return value, self._percentiles(drawn), self._detectable(error)

    def _counts(self) -> Weights:
        """How often each cluster is drawn, `[draws, clusters]`; made once, since every figure needs it."""
        if self._drawn is None:
            generator = np.random.default_rng(_SEED)
            draws = max(_FEWEST_DRAWS, min(DRAWS, _CELLS // self.clusters))
            chosen = generator.integers(0, self.clusters, (draws, self.clusters))
            places = chosen + self.clusters * np.arange(draws)[:, None]
            counts = np.bincount(places.ravel(), minlength=draws * self.clusters)
            self._drawn = counts.reshape(draws, self.clusters).astype(np.float64)
        return self._drawn

    def _percentiles(self, drawn: Weights) -> Interval:
        freedom = self.clusters - 1
        reach = t_quantile((1 + LEVEL) / 2, freedom) * math.sqrt(self.clusters / freedom)
        tail = normal_tail(-reach)
        low, high = np.quantile(drawn, (tail, 1 - tail))
        return Interval(float(low), float(high))

    def _detectable(self, error: float) -> float | None:
        if self.clusters < CLUSTERS_THAT_TELL:
            return None
        return (t_quantile((1 + LEVEL) / 2, self.clusters - 1) + normal_quantile(_POWER)) * error


def _error_of_ratio(sums: Weights, sizes: Weights) -> float:
    """The standard error of a mean over clusters of unequal sizes (Cochran 1977, 6.4)."""
    count, mean = len(sums), sums.sum() / sizes.sum()
    residuals = sums - mean * sizes
    return float(math.sqrt((residuals**2).sum() * count / (count - 1)) / sizes.sum())
