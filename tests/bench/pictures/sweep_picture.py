"""Draws a sweep: throughput by distinct adapters under the roofline, or waiting by adapters for each slot."""

from matplotlib.axes import Axes

from bench.pictures.drawing import number_text
from parfocal.bench.load.under_load import OWN_NAME
from parfocal.bench.reports.document import sweep_limit
from parfocal.bench.stand import Bench


def draw_sweep(axes: Axes, bench: Bench) -> None:
    """Draws what was swept: in open loop the rate is given, so what tells is the time to the first token."""
    if bench.workload.is_open:
        _draw_waiting(axes, bench)
    else:
        _draw_throughput(axes, bench)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _draw_waiting(axes: Axes, bench: Bench) -> None:
    slots = bench.workload.server_slots
    counts = list(bench.workload.sweep)
    ratios = [count / slots for count in counts]
    lines = {OWN_NAME: bench.served.load.sweep} | {name: load.sweep for name, load in bench.endpoints.items()}
    for number, (name, sweep) in enumerate(lines.items()):
        for percentile, style in (("p50", "-"), ("p99", "--")):
            times = [getattr(sweep[count].ttft, percentile) for count in counts]
            axes.plot(ratios, times, style, marker="o", color=f"C{number}", label=f"{name} {percentile}")
            axes.annotate(f"{times[-1]:.2g} s", (ratios[-1], times[-1]), (4, 4), textcoords="offset points")
    axes.axvline(1.0, color="0.4", linestyle=":", label="as many adapters as slots")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(ratios, [f"{count}/{slots}" for count in counts])
    rate = f"{bench.workload.rate:.3g} requests/s" if bench.workload.rate is not None else "open loop"
    axes.set(xlabel="adapters / slots", ylabel="seconds", title=f"Time to the first token at {rate}")
    for axis_format in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        axis_format("{x:.2g}")
    axes.margins(x=0.2, y=0.1)


def _draw_throughput(axes: Axes, bench: Bench) -> None:
    counts = list(bench.workload.sweep)
    lines = {OWN_NAME: bench.served.load.sweep} | {name: load.sweep for name, load in bench.endpoints.items()}
    for name, sweep in lines.items():
        speeds = [sweep[count].tokens_per_second for count in counts]
        axes.plot(counts, speeds, marker="o", label=name)
        axes.annotate(number_text(speeds[-1]), (counts[-1], speeds[-1]), (4, 4), textcoords="offset points")
    limits = [sweep_limit(bench, count) for count in counts]
    axes.plot(counts, limits, color="0.4", linestyle="--", label="roofline: bytes and arithmetic")
    # What is measured may lie far below the roofline, and others' figures below ours.
    axes.set_yscale("log")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set(xlabel="distinct adapters", ylabel="generated tokens per second", title="Throughput by adapters")
    axes.margins(x=0.1)
