"""Draws the loss curve of a run as a PNG: training loss, held-out loss, and the base as a line."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parfocal.registry.values import JSON

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW = 30
_TITLE_WIDTH = 90
# The axis holds so large a part of all steps, unless the others stay within so many times that.
_MOST = 0.98
_PEAK = 3.0

History = Sequence[Mapping[str, JSON]]


def draw_curve(history: History, path: Path, title: str) -> None:
    """Writes the curve of `history` to `path`.

    An entry has `step` and one of `loss` (training), `held_out_loss` or `base_loss`.
    """
    curve_figure(history, title).savefig(path, dpi=120)


def curve_figure(history: History, title: str) -> "Figure":
    """Draws the curve of `history`, without a display."""
    # Importing matplotlib takes a second, and most importers of this module draw nothing.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display, and without touching pyplot's global state
    axes = figure.add_subplot()
    steps, losses = points(history, "loss")
    # A line through one point is none.
    dots = "." if len(steps) < _FEW else None
    axes.plot(steps, losses, color="0.55", linewidth=1, marker=dots, label="training rows")
    held_out = points(history, "held_out_loss")
    axes.plot(*held_out, marker="o", label="held-out rows, adapter")
    _, base = points(history, "base_loss")
    if base:
        axes.axhline(base[0], color="tab:red", linestyle="--", label="held-out rows, base alone")
    axes.set(xlabel="step", ylabel="loss per answer token (nats)", ylim=(0, None))
    axes.set_title("\n".join(textwrap.wrap(title, _TITLE_WIDTH)), fontsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _leave_out_peaks(axes, losses, [*held_out[1], *base])
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _leave_out_peaks(axes: "Axes", losses: Sequence[float], others: Sequence[float]) -> None:
    """Ends the axis above most steps' values, and says so, so that one peak does not flatten the rest."""
    known = sorted(loss for loss in losses if math.isfinite(loss))
    if not known:
        return
    usual = max([known[int(_MOST * (len(known) - 1))], *filter(math.isfinite, others)])
    if 0.0 < usual < known[-1] / _PEAK:
        axes.set_ylim(0, 1.3 * usual)
        words = f"not shown: peaks up to {known[-1]:.3g}"
        axes.text(0.01, 0.98, words, transform=axes.transAxes, va="top", fontsize=8, color="0.4")


def points(history: History, name: str) -> tuple[list[float], list[float]]:
    """Steps and values of the entries of `history` that have `name`."""
    found = [(entry["step"], entry[name]) for entry in history if name in entry]
    pairs = [(float(s), float(v)) for s, v in found if isinstance(s, int) and isinstance(v, int | float)]
    return [step for step, _ in pairs], [value for _, value in pairs]
