"""Figures of one adapter as a registry records them, for its gates, its lists and its pages.

`adapter_x` and `base_x` are one figure of both, `x_gain` is how much better the adapter is: above 0 where it
is, also for losses. The ends of an interval end in `_low` and `_high`, and what is of a slice in `/SLICE`.
"""

from collections.abc import Iterator, Mapping, Sequence

from parfocal.training.figures.evaluated import Figure

MOST = 900  # a registry keeps a thousand metrics, and others may add some
# Of the adapter alone: the base's is nothing.
_ALONE = ("forgetting", "kl_from_base")


def recorded(figures: Sequence[Figure], arm: int, own: Mapping[str, float]) -> dict[str, float]:
    """Every metric of the arm beside the first, with `own` metrics; those of the last slices left out."""
    found: dict[str, float] = {}
    # All rows first, so that what does not fit is a slice's.
    for figure in sorted(figures, key=lambda each: bool(each.slice)):
        metrics = dict(_metrics(figure, arm))
        if len(found) + len(metrics) + len(own) <= MOST:
            found |= metrics
    return {**found, **own}


def _metrics(figure: Figure, arm: int) -> Iterator[tuple[str, float]]:
    of_slice = f"/{figure.slice}" if figure.slice else ""
    named = (
        ((figure.name, arm),)
        if figure.name in _ALONE
        else (
            (f"base_{figure.name}", 0),
            (f"adapter_{figure.name}", arm),
        )
    )
    for name, at in named:
        one = figure.estimates[at]
        if one is None:
            continue
        yield f"{name}{of_slice}", one.value
        if one.interval is not None:
            yield f"{name}_low{of_slice}", one.interval.low
            yield f"{name}_high{of_slice}", one.interval.high
    gained = figure.improvements[arm]
    if gained is not None:
        yield f"{figure.name}_gain{of_slice}", gained.value
        yield f"{figure.name}_gain_low{of_slice}", gained.interval.low
        yield f"{figure.name}_gain_high{of_slice}", gained.interval.high
