"""Draws a bench as a PNG: times to the first token, throughput, and the sweep under its roofline."""

import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.pictures.drawing import number_text
from bench.pictures.sweep_picture import draw_sweep
from parfocal.bench.load.figures import Figures
from parfocal.bench.load.under_load import OWN_NAME
from parfocal.bench.reports.document import rooflines
from parfocal.bench.servers.watch import Watched
from parfocal.bench.stand import Bench

_PERCENTILES = ("p50", "p90", "p99")
_GROUP_WIDTH = 0.8
_ROW_INCHES = 0.55
_NAME_WIDTH = 28
# A bar this much shorter than another could not be seen.
_FAR = 50.0
# A line of memory over fewer requests says nothing.
_LONG_RUN = 1000


def bench_figure(bench: Bench) -> Figure:
    """Returns the picture; its last parts are the sweep and the server's memory, where there are any."""
    watched = _long_run(bench)
    parts = 2 + bool(bench.workload.sweep) + (watched is not None)
    served = _served(bench)
    rows = len(served) + len(bench.peft)
    figure = Figure(figsize=(5.5 * parts, max(4.8, 1.5 + _ROW_INCHES * rows)), layout="constrained")
    axes = [figure.add_subplot(1, parts, place + 1) for place in range(parts)]
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
    height = _GROUP_WIDTH / len(_PERCENTILES)
    for place, percentile in enumerate(_PERCENTILES):
        widths = [getattr(figures.ttft, percentile) for figures in served.values()]
        rows = [group + (place - 1) * height for group in range(len(served))]
        bars = axes.barh(rows, widths, height, label=percentile)
        axes.bar_label(bars, [f"{width:.2g}" for width in widths], fontsize=7, padding=3)
    _name_rows(axes, served)
    _spread(axes, [getattr(figures.ttft, each) for figures in served.values() for each in _PERCENTILES])
    axes.set(xlabel="seconds", title="Time to the first token")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.08), ncols=len(_PERCENTILES), frameon=False)


def _draw_throughput(axes: Axes, bench: Bench, speeds: Mapping[str, float]) -> None:
    bars = axes.barh(range(len(speeds)), list(speeds.values()), color="tab:green")
    axes.bar_label(bars, [number_text(speed) for speed in speeds.values()], fontsize=8, padding=3)
    shown = list(speeds.values())
    if not bench.workload.is_open:  # where requests come at a rate, the rate is the limit
        limit = rooflines(bench)["mixed"].run_limit(bench.hardware)
        shown.append(limit)
        axes.axvline(
            limit, color="0.4", linestyle="--", label=f"roofline with adapters: {number_text(limit)}"
        )
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.08), frameon=False)
    _name_rows(axes, speeds)
    _spread(axes, shown)
    axes.set(xlabel="generated tokens per second", title="Throughput")


def _name_rows(axes: Axes, names: Iterable[str]) -> None:
    """Names stand beside the bars, where a long one has room; the first is on top."""
    rows = [_wrapped(name) for name in names]
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)


def _wrapped(name: str) -> str:
    """Returns the name in short lines, broken after commas where it has any."""
    lines = [
        part for line in name.split("\n") for part in textwrap.wrap(line.replace(",", ", "), _NAME_WIDTH)
    ]
    return "\n".join(lines)


def _spread(axes: Axes, values: Sequence[float]) -> None:
    """Takes a logarithmic axis where the smallest bar would vanish beside the largest."""
    above_0 = [value for value in values if value > 0.0]
    if above_0 and max(above_0) > _FAR * min(above_0):
        axes.set_xscale("log")
        axes.set_xlim(min(above_0) / 2, max(above_0) * 4)
    else:
        axes.margins(x=0.2)


def _long_run(bench: Bench) -> Watched | None:
    watched = bench.served.watched
    return watched if watched and watched.memory[-1].requests >= _LONG_RUN else None


def _draw_memory(axes: Axes, watched: Watched) -> None:
    sizes = [sample.rss_bytes / 2**20 for sample in watched.memory]
    axes.plot([sample.requests for sample in watched.memory], sizes, marker="o", color="tab:purple")
    axes.set(xlabel="requests answered", ylabel="MiB resident", title="Memory of the server")
    axes.set_ylim(0, 1.15 * max(sizes))
    axes.grid(alpha=0.3)
