"""Draws how a decode step's time grows with rows and with distinct adapters, over the roofline."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.pictures.drawing import number_text
from parfocal.bench.profiles.growth import BASE, DISTINCT, ONE, Point, Visits

_COLOURS = {BASE: "0.35", ONE: "tab:blue", DISTINCT: "tab:red"}


def growth_figure(
    visits: Visits, found: Mapping[Point, float], limits: Mapping[Point, float], title: str
) -> Figure:
    """Returns the picture of two panels."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    by_rows, by_adapters = figure.subplots(1, 2)
    _draw_rows(by_rows, visits, found, limits)
    _draw_adapters(by_adapters, visits.by_adapters, found, limits)
    figure.suptitle(f"A decode step's time: {title}", wrap=True)
    return figure


def _draw_rows(
    axes: Axes, visits: Visits, found: Mapping[Point, float], limits: Mapping[Point, float]
) -> None:
    for name, line in visits.by_rows.items():
        rows, colour = [point.rows for point in line], _COLOURS[name]
        axes.plot(rows, _ms(found, line), marker="o", color=colour, label=name)
        axes.plot(rows, _ms(limits, line), linestyle="--", color=colour, label=f"roofline, {name}")
        last = _ms(found, line)[-1]
        axes.annotate(number_text(last), (rows[-1], last), (5, 0), textcoords="offset points", color=colour)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(rows, [str(count) for count in rows])
    axes.set(xlabel="rows in the batch", ylabel="milliseconds", title="By rows")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(which="both", alpha=0.2)
    axes.margins(x=0.1)
    axes.legend(fontsize=8)


def _draw_adapters(
    axes: Axes, line: Sequence[Point], found: Mapping[Point, float], limits: Mapping[Point, float]
) -> None:
    counts, times = [point.adapters for point in line], _ms(found, line)
    axes.plot(counts, times, marker="o", color="tab:red", label="measured")
    for count, time in zip(counts, times, strict=True):
        axes.annotate(number_text(time), (count, time), (0, 6), textcoords="offset points", ha="center")
    axes.plot(counts, _ms(limits, line), linestyle="--", color="tab:red", label="roofline")
    axes.set_ylim(0, 1.2 * max(times))
    axes.set_xticks(counts)
    axes.set(
        xlabel="distinct adapters",
        ylabel="milliseconds",
        title=f"By distinct adapters, {line[0].rows} rows (0: base only)",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center right")


def _ms(seconds: Mapping[Point, float], line: Sequence[Point]) -> list[float]:
    return [1000 * seconds[point] for point in line]
