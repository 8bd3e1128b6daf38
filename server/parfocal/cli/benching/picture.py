"""Draws a bench as a PNG: times to the first token, throughput, and the sweep under its roofline."""

import statistics
from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .document import sweep_limit
from .figures import Figures
from .stand import Bench
from .under_load import OWN_NAME

_PERCENTILES = ("p50", "p90", "p99")
_GROUP_WIDTH = 0.8


def draw_bench(bench: Bench, path: Path) -> None:
    """Writes the picture to `path`; its last part is the sweep, where there is one."""
    figure = bench_figure(bench)
    FigureCanvasAgg(figure)  # draws without a display, and without touching pyplot's global state
    figure.savefig(path, dpi=120, format="png")


def bench_figure(bench: Bench) -> Figure:
    """Returns the picture, not yet drawn."""
    parts = 3 if bench.workload.sweep else 2
    figure = Figure(figsize=(5.5 * parts, 4.8), layout="constrained")
    axes = [figure.add_subplot(1, parts, place + 1) for place in range(parts)]
    served = _served(bench)
    _draw_first_tokens(axes[0], served)
    _draw_throughput(axes[1], _speeds(bench, served))
    if bench.workload.sweep:
        _draw_sweep(axes[2], bench)
    work = bench.workload
    figure.suptitle(
        f"{work.shape}, {bench.served.dtype} on {bench.served.device}: "
        f"{work.requests} requests, {work.adapters} adapters, {work.server_slots} slots"
    )
    return figure


def _served(bench: Bench) -> dict[str, Figures]:
    """Returns what each server gave; PEFT streams nothing, so it has no time to a first token."""
    named = {OWN_NAME: bench.served.mixed, f"{OWN_NAME}\nbase only": bench.served.base_only}
    for name, load in bench.endpoints.items():
        named[name] = load.mixed
        if load.base_only is not None:
            named[f"{name}\nbase only"] = load.base_only
    return named


def _speeds(bench: Bench, served: Mapping[str, Figures]) -> dict[str, float]:
    peft = {f"PEFT\n{dtype}": statistics.median(speeds) for dtype, speeds in bench.peft.items()}
    return {name: figures.tokens_per_second for name, figures in served.items()} | peft


def _draw_first_tokens(axes: Axes, served: Mapping[str, Figures]) -> None:
    width = _GROUP_WIDTH / len(_PERCENTILES)
    for place, percentile in enumerate(_PERCENTILES):
        heights = [getattr(figures.ttft, percentile) for figures in served.values()]
        lefts = [group + (place - 1) * width for group in range(len(served))]
        axes.bar(lefts, heights, width, label=percentile)
    axes.set_xticks(range(len(served)), list(served), fontsize=8)
    axes.set(ylabel="seconds", title="Time to the first token")
    axes.grid(axis="y", alpha=0.3)
    axes.margins(y=0.35)  # the legend stands above the bars
    axes.legend()


def _draw_throughput(axes: Axes, speeds: Mapping[str, float]) -> None:
    bars = axes.bar(range(len(speeds)), list(speeds.values()), color="tab:green")
    axes.bar_label(bars, fmt="%.0f")
    axes.set_xticks(range(len(speeds)), list(speeds), fontsize=8)
    axes.set(ylabel="generated tokens per second", title="Throughput")
    axes.grid(axis="y", alpha=0.3)


def _draw_sweep(axes: Axes, bench: Bench) -> None:
    counts = list(bench.workload.sweep)
    lines = {OWN_NAME: bench.served.sweep} | {name: load.sweep for name, load in bench.endpoints.items()}
    for name, sweep in lines.items():
        axes.plot(counts, [sweep[count].tokens_per_second for count in counts], marker="o", label=name)
    limits = [sweep_limit(bench, count) for count in counts]
    axes.plot(counts, limits, color="0.4", linestyle="--", label="roofline: bytes of a decode step")
    # The roofline leaves prompts and arithmetic out, so it is often many times higher than what is measured.
    axes.set_yscale("log")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set(xlabel="distinct adapters", ylabel="generated tokens per second", title="Sweep")
    axes.grid(alpha=0.3)
    axes.legend()
