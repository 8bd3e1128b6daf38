"""Draws what the parts found. Knows no measuring."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from bench.gpu_stand.launch_profile import PARTS, Kernels, by_part, launches
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


def draw_parts(kinds: Mapping[str, Mapping[str, Kernels]], path: Path) -> None:
    """Draws what each part of a step takes, a stack for each kind of step, with the launches above it."""
    figure = Figure(figsize=(10, 4.8 * len(kinds)), layout="constrained")
    for place, (title, steps) in enumerate(kinds.items(), start=1):
        axes = figure.add_subplot(len(kinds), 1, place)
        parted = [by_part(kernels) for kernels in steps.values()]
        floors = [0.0] * len(parted)
        for part in (part for part in PARTS if any(part in found for found in parted)):
            heights = [found[part].microseconds / 1000 if part in found else 0.0 for found in parted]
            axes.bar(range(len(parted)), heights, bottom=floors, label=part)
            floors = [floor + height for floor, height in zip(floors, heights, strict=True)]
        for at, (floor, kernels) in enumerate(zip(floors, steps.values(), strict=True)):
            axes.text(at, floor, f"{launches(kernels):.0f}", ha="center", va="bottom", fontsize=8)
        axes.set_xticks(range(len(parted)), list(steps))
        axes.set(
            xlabel="rows x distinct adapters",
            ylabel="milliseconds",
            title=f"A {title}: kernels, and launches",
        )
        axes.grid(axis="y", alpha=0.3)
        axes.legend(fontsize=8)
    write_png(figure, path)
