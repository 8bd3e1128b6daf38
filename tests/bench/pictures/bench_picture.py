"""Draws a bench as a PNG: times to the first token, throughput, and the sweep under its roofline."""

import statistics
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.pictures.sweep_picture import draw_sweep
from parfocal.bench.load.figures import Figures
from parfocal.bench.load.under_load import OWN_NAME
from parfocal.bench.reports.document import rooflines
from parfocal.bench.servers.watch import Watched
from parfocal.bench.stand import Bench

_PERCENTILES = ("p50", "p90", "p99")
_GROUP_WIDTH = 0.8
# A line of memory over fewer requests says nothing.
_LONG_RUN = 1000


def bench_figure(bench: Bench) -> Figure:
    """Returns the picture; its last parts are the sweep and the server's memory, where there are any."""
    watched = _long_run(bench)
    parts = 2 + bool(bench.workload.sweep) + (watched is not None)
    figure = Figure(figsize=(5.5 * parts, 4.8), layout="constrained")
    axes = [figure.add_subplot(1, parts, place + 1) for place in range(parts)]
    served = _served(bench)
    _draw_first_tokens(axes[0], served)
    _draw_throughput(axes[1], bench, _speeds(bench, served))
    if bench.workload.sweep:
        draw_sweep(axes[2], bench)
    if watched is not None:
        _draw_memory(axes[-1], watched)
    work = bench.workload
    figure.suptitle(
        f"{work.shape}, {bench.served.stored.text} on {bench.served.device}: "
        f"{work.requests} requests, {work.adapters} adapters, {work.server_slots} slots"
    )
    return figure


def _served(bench: Bench) -> dict[str, Figures]:
    """Returns what each server gave; PEFT streams nothing, so it has no time to a first token."""
    load = bench.served.load
    named = {OWN_NAME: load.mixed}
    if load.base_only is not None:
        named[f"{OWN_NAME}\nbase only"] = load.base_only
    if load.alternative is not None and bench.against is not None:
        named[f"{OWN_NAME}\n{bench.against.text}"] = load.alternative
    for name, other in bench.endpoints.items():
        named[name] = other.mixed
        if other.base_only is not None:
            named[f"{name}\nbase only"] = other.base_only
    return named


def _speeds(bench: Bench, served: Mapping[str, Figures]) -> dict[str, float]:
    peft = {f"PEFT\n{dtype}": statistics.median(speeds) for dtype, speeds in bench.peft.items()}
    return {name: figures.tokens_per_second for name, figures in served.items()} | peft


def _draw_first_tokens(axes: Axes, served: Mapping[str, Figures]) -> None:
    width = _GROUP_WIDTH / len(_PERCENTILES)
    for place, percentile in enumerate(_PERCENTILES):
        heights = [getattr(figures.ttft, percentile) for figures in served.values()]
        lefts = [group + (place - 1) * width for group in range(len(served))]
        bars = axes.bar(lefts, heights, width, label=percentile)
        # Upright: beside each other they are wider than the bars.
        axes.bar_label(bars, fmt="%.2g", fontsize=7, rotation=90, padding=3)
    axes.set_xticks(range(len(served)), list(served), fontsize=8)
    axes.set(ylabel="seconds", title="Time to the first token")
    axes.grid(axis="y", alpha=0.3)
    axes.margins(y=0.45)  # the legend stands above the bars
    axes.legend()


def _draw_throughput(axes: Axes, bench: Bench, speeds: Mapping[str, float]) -> None:
    bars = axes.bar(range(len(speeds)), list(speeds.values()), color="tab:green")
    axes.bar_label(bars, fmt="%.0f")
    if not bench.workload.is_open:  # where requests come at a rate, the rate is the limit
        limit = rooflines(bench)["mixed"].run_limit(bench.hardware)
        axes.axhline(limit, color="0.4", linestyle="--")
        words, place = f" roofline with adapters: {limit:.0f}", axes.get_yaxis_transform()
        axes.text(0.0, limit, words, transform=place, va="bottom", fontsize=8)
    axes.set_xticks(range(len(speeds)), list(speeds), fontsize=8)
    axes.set(ylabel="generated tokens per second", title="Throughput")
    axes.grid(axis="y", alpha=0.3)
    axes.margins(y=0.1)


def _long_run(bench: Bench) -> Watched | None:
    watched = bench.served.watched
    return watched if watched and watched.memory[-1].requests >= _LONG_RUN else None


def _draw_memory(axes: Axes, watched: Watched) -> None:
    sizes = [sample.rss_bytes / 2**20 for sample in watched.memory]
    axes.plot([sample.requests for sample in watched.memory], sizes, marker="o", color="tab:purple")
    axes.set(xlabel="requests answered", ylabel="MiB resident", title="Memory of the server")
    axes.set_ylim(0, 1.15 * max(sizes))
    axes.grid(alpha=0.3)
