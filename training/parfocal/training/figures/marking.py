"""Figures of what a method marks row by row: margins, preferences, rewards."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from parfocal.training.figures.building import mean_figure, slice_names
from parfocal.training.figures.evaluated import Figure, Item, Written
from parfocal.training.intervals import Estimate, Resamples


class Marks(Protocol):
    """How a model did on rows: a loss, and merits row by row, higher the better."""

    @property
    def loss(self) -> float: ...

    @property
    def merits(self) -> Mapping[str, tuple[float, ...]]: ...


def marked_figures(
    items: Sequence[Item],
    marks: Sequence[Marks],
    written: Sequence[Sequence[Written]],
    *,
    of_slices: bool,
) -> Iterator[Figure]:
    """The loss, which has no interval, the mean of every merit, and how often written answers ended."""
    values = tuple(Estimate(each.loss, None) for each in marks)
    yield Figure("loss", "", len(items), False, values, (None,) * len(marks))
    for name in ("", *(slice_names(items) if of_slices else ())):
        at = [place for place, item in enumerate(items) if name in ("", item.slice)]
        rows = Resamples([items[place].cluster for place in at])
        for merit in marks[0].merits:
            chosen = [[each.merits[merit][place] for place in at] for each in marks]
            yield mean_figure(merit, name, len(at), chosen, rows)
    if written and written[0]:
        count = len(written[0])
        stops = [[float(each.stopped) for each in one] for one in written]
        yield mean_figure("stops", "", count, stops, Resamples([item.cluster for item in items[:count]]))
