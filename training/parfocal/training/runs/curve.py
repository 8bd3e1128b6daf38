"""Draws the loss curve of a run as a PNG: training loss, held-out loss, and the base as a line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from parfocal.registry.values import JSON

History = Sequence[Mapping[str, JSON]]


def draw_curve(history: History, path: Path, title: str) -> None:
    """Writes the curve of `history` to `path`.

    An entry has `step` and one of `loss` (training), `held_out_loss` or `base_loss`.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display, and without touching pyplot's global state
    axes = figure.add_subplot()
    axes.plot(*points(history, "loss"), color="0.65", linewidth=1, label="training rows")
    axes.plot(*points(history, "held_out_loss"), marker="o", label="held-out rows, adapter")
    _, base = points(history, "base_loss")
    if base:
        axes.axhline(base[0], color="tab:red", linestyle="--", label="held-out rows, base alone")
    axes.set(xlabel="step", ylabel="loss per answer token (nats)", title=title, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def points(history: History, name: str) -> tuple[list[float], list[float]]:
    """Returns steps and values of the entries of `history` that have `name`."""
    found = [(entry["step"], entry[name]) for entry in history if name in entry]
    pairs = [(float(s), float(v)) for s, v in found if isinstance(s, int) and isinstance(v, int | float)]
    return [step for step, _ in pairs], [value for _, value in pairs]
