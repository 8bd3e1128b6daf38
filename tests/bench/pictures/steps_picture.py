"""Draws where the time of steps goes: one stacked bar for each kind of step, and the least it could take."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parfocal.bench.profiles.step_parts import OTHER, PROMPTS, StepTime
from parfocal.engine.stopwatch import PARTS

# A narrower piece of a bar has no room for a number.
_LABELLED = 0.03
# A part has the same colour in every picture.
_COLOURS = (
    "#1f77b4",
    "#d62728",
    "#2ca02c",
    "#9467bd",
    "#ff7f0e",
    "#e377c2",
    "#bcbd22",
    "#ff9896",
    "#17becf",
    "#8c564b",
    "#393b79",
    "#7f7f7f",
)


def steps_figure(found: Mapping[str, StepTime], limits: Mapping[str, float], title: str) -> Figure:
    """Returns the picture; prompts take so much longer that they have an axis of their own."""
    panels = [[name for name in found if name != PROMPTS], [name for name in found if name == PROMPTS]]
    panels = [names for names in panels if names]
    figure = Figure(figsize=(11, 1.6 + 1.1 * sum(map(len, panels))), layout="constrained")
    rows = figure.subplots(
        len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": [len(names) for names in panels]}
    )
    for axes, names in zip(rows[:, 0], panels, strict=True):
        _draw(axes, found, limits, names)
    rows[-1, 0].set_xlabel("milliseconds of one step (median)")
    handles, labels = rows[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8)
    figure.suptitle(f"Where a step's time goes: {title}")
    return figure


def _draw(
    axes: Axes, found: Mapping[str, StepTime], limits: Mapping[str, float], names: Sequence[str]
) -> None:
    places = range(len(names))
    lefts = [0.0] * len(names)
    for part in found[names[0]].all_parts:
        widths = [1000 * found[name].all_parts[part] for name in names]
        colour = "0.75" if part == OTHER else _COLOURS[PARTS.index(part)]
        axes.barh(places, widths, left=lefts, color=colour, label=part)
        for place, (left, width) in enumerate(zip(lefts, widths, strict=True)):
            if width > _LABELLED * 1000 * max(found[name].clocked_seconds for name in names):
                axes.text(left + width / 2, place, f"{width:.1f}", ha="center", va="center", fontsize=8)
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    for place, name in enumerate(names):
        least = 1000 * limits[name]
        axes.plot([least, least], [place - 0.4, place + 0.4], color="black", linewidth=2)
        axes.text(least, place - 0.42, f" at least {least:.1f}", ha="left", va="bottom", fontsize=8)
        axes.text(lefts[place], place, f"  {lefts[place]:.1f} ms", va="center", fontsize=9)
    axes.set_yticks(places, [f"{name}\nof {found[name].tokens} tokens" for name in names])
    axes.set_ylim(len(names) - 0.45, -0.75)  # the first bar on top, and room for what it takes at least
    axes.margins(x=0.1)
    axes.grid(axis="x", alpha=0.3)
