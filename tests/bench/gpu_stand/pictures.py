"""Draws what the parts found. Knows no measuring."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from bench.pictures.drawing import write_png
from parfocal.bench.load.figures import Figures

_GROUP_WIDTH = 0.8


def draw_speeds(speeds: Mapping[str, float], limit: float, path: Path) -> None:
    """Draws tokens per second by way of asking, under the roofline."""
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    bars = axes.bar(range(len(speeds)), list(speeds.values()), color="tab:green")
    axes.bar_label(bars, fmt="%.0f")
    axes.axhline(limit, color="0.4", linestyle="--")
    axes.text(0.0, limit, f" roofline: {limit:.0f}", transform=axes.get_yaxis_transform(), va="bottom")
    axes.set_xticks(range(len(speeds)), [name.replace(", ", "\n") for name in speeds], fontsize=8)
    axes.set(ylabel="generated tokens per second", title="Each request on its own adapter")
    axes.grid(axis="y", alpha=0.3)
    write_png(figure, path)


def draw_first_tokens(found: Mapping[str, Figures], title: str, path: Path) -> None:
    """Draws the time to the first token, by how adapters are kept."""
    figure = Figure(figsize=(7, 4.8), layout="constrained")
    axes = figure.add_subplot()
    percentiles = ("p50", "p90", "p99")
    width = _GROUP_WIDTH / len(percentiles)
    for place, name in enumerate(percentiles):
        heights = [1000 * getattr(figures.ttft, name) for figures in found.values()]
        bars = axes.bar(
            [group + (place - 1) * width for group in range(len(found))], heights, width, label=name
        )
        axes.bar_label(bars, fmt="%.3g", fontsize=8)
    axes.set_xticks(range(len(found)), list(found))
    axes.set(ylabel="milliseconds to the first token", title=title)
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    write_png(figure, path)
