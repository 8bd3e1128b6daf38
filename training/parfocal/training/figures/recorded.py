"""Figures of one adapter as a registry records them, for its gates, its lists and its pages.

`adapter_x` and `base_x` are one figure of both, `x_gain` is how much better the adapter is: above 0 where it
is, also for losses. The ends of an interval end in `_low` and `_high`, and what is of a slice in `/SLICE`.
"""

from collections.abc import Iterator, Mapping, Sequence

from parfocal.training.figures.evaluated import Continued, Figure
from parfocal.training.intervals import Difference, Estimate

MOST = 900  # a registry keeps a thousand metrics, and others may add some
# Of the adapter alone: the base's is nothing.
_ALONE = ("forgetting", "kl_from_base")
_OF_PARENT = {"forgetting": "forgetting_of_parent", "kl_from_base": "kl_from_parent"}


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
        yield from _value(name, of_slice, figure.estimates[at])
    yield from _value(f"{figure.name}_gain", of_slice, figure.improvements[arm])


def recorded_beside_parent(found: Continued, room: int) -> dict[str, float]:
    """At most `room` metrics of an adapter beside its parent, those of the last slices left out.

    `parent_x` is the parent's, `x_gain_over_parent` how much better the adapter is; `forgetting_of_parent` is
    of general text. What is of rows that the parent was trained on begins with `replayed_`.
    """
    metrics: dict[str, float] = {}
    parts = (("", found.gained), ("", found.probes), ("replayed_", found.kept))
    figures = [(prefix, figure) for prefix, some in parts for figure in some]
    for prefix, figure in sorted(figures, key=lambda each: bool(each[1].slice)):
        some = dict(_beside_parent(prefix, figure))
        if len(metrics) + len(some) <= room:
            metrics |= some
    return metrics


def _beside_parent(prefix: str, figure: Figure) -> Iterator[tuple[str, float]]:
    of_slice = f"/{figure.slice}" if figure.slice else ""
    if figure.name in _ALONE:
        yield from _value(_OF_PARENT[figure.name], of_slice, figure.estimates[1])
        return
    yield from _value(f"parent_{prefix}{figure.name}", of_slice, figure.estimates[0])
    if prefix:
        yield from _value(f"adapter_{prefix}{figure.name}", of_slice, figure.estimates[1])
    yield from _value(f"{prefix}{figure.name}_gain_over_parent", of_slice, figure.improvements[1])


def _value(name: str, of_slice: str, one: Estimate | Difference | None) -> Iterator[tuple[str, float]]:
    """A value with the ends of its interval, where it was taken."""
    if one is None:
        return
    yield f"{name}{of_slice}", one.value
    if one.interval is not None:
        yield f"{name}_low{of_slice}", one.interval.low
        yield f"{name}_high{of_slice}", one.interval.high
