"""Chooses the interval that fits a figure: exact for rates of single rows, resampled for all else."""

from collections.abc import Sequence

from parfocal.training.intervals.bootstrap import CLUSTERS_THAT_TELL, Measure, Resamples
from parfocal.training.intervals.figures import Difference, Estimate, Interval
from parfocal.training.intervals.paired_rates import rate_difference
from parfocal.training.intervals.proportions import wilson


def estimate(scores: Sequence[float], rows: Resamples, within: tuple[float, float] | None = None) -> Estimate:
    """The mean of one model's scores, a score for each row; `within` is what is possible.

    Scores from 0 to 1 of which all are 0 or 1 are those of a rate.
    """
    if rows.are_single and within == (0.0, 1.0) and _are_rates(scores):
        right = sum(score == 1 for score in scores)
        return Estimate(right / len(scores), wilson(right, len(scores)))
    value, interval, _ = rows.mean(scores)
    return Estimate(value, _cut(interval, within))


def estimate_measure(
    measure: Measure, rows: Resamples, within: tuple[float, float] | None = None
) -> Estimate:
    """A figure over all rows that is no mean, of one model."""
    value, interval, _ = rows.measure(measure)
    return Estimate(value, _cut(interval, within))


def compare(first: Sequence[float], second: Sequence[float], rows: Resamples) -> Difference:
    """How much higher the scores of `first` are than those of `second` on the same rows."""
    if rows.are_single and _are_rates(first) and _are_rates(second):
        return rate_difference([score == 1 for score in first], [score == 1 for score in second])
    return _difference(
        *rows.mean([one - other for one, other in zip(first, second, strict=True)]), rows.clusters
    )


def compare_measures(first: Measure, second: Measure, rows: Resamples) -> Difference:
    """As `compare`, of figures over all rows that are no means."""
    return _difference(*rows.measure(lambda weights: first(weights) - second(weights)), rows.clusters)


def _difference(
    value: float, interval: Interval | None, detectable: float | None, clusters: int
) -> Difference:
    """Too few clusters prove nothing: their interval holds 0."""
    found = Interval(value, value) if interval is None else interval
    return Difference(value, found.with_zero() if clusters < CLUSTERS_THAT_TELL else found, detectable)


def _are_rates(scores: Sequence[float]) -> bool:
    return all(score in (0.0, 1.0) for score in scores)


def _cut(interval: Interval | None, within: tuple[float, float] | None) -> Interval | None:
    return interval if interval is None or within is None else interval.within(*within)
