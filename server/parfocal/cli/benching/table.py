"""Prints a bench for people. Knows no measuring."""

import statistics

from ..display import show_heading, show_pairs, show_table, size_text
from .calls import ranks_of_batch
from .document import summary_of, sweep_limit
from .figures import Figures
from .limit import StepBytes, decode_limit
from .stand import Bench
from .under_load import OWN_NAME
from .workload import Workload

_SPEED_HEADINGS = ("", "tokens/s", "each round", "first token p50", "p99", "token to token p50", "p99")
_LIMIT_HEADINGS = ("", "a step reads", "base", "head", "adapters", "KV cache", "tokens/s at most")


def show_bench(bench: Bench) -> None:
    """Prints workload, speeds, ratios, limits and machine."""
    show_heading("Workload")
    show_pairs(_workload(bench))
    show_heading("Speed: generated tokens over the whole wall time, prompts included")
    show_table(_SPEED_HEADINGS, _speeds(bench))
    if bench.workload.sweep:
        show_heading("Sweep: tokens/s by distinct adapters, all requests at once")
        show_table(("adapters", OWN_NAME, *bench.endpoints, "at most"), _sweep(bench))
    show_heading("Ratios")
    show_pairs(_ratios(bench))
    speed = f"{bench.copy_bytes_per_second / 1e9:.1f} GB/s"
    show_heading(f"Limit: decode steps of full batches alone, read at {speed} as measured here")
    show_table(_LIMIT_HEADINGS, _limits(bench))
    show_heading("Machine")
    show_pairs(_machine(bench))


def _workload(bench: Bench) -> list[tuple[str, str]]:
    work, served = bench.workload, bench.served
    return [
        ("base", f"{work.shape}, random weights, NF4; {served.dtype} on {served.device}"),
        ("adapters", _adapters(work)),
        ("requests", f"{work.requests} {_arrival(work)}, streamed over gRPC; {work.batch} run in a batch"),
        ("tokens", f"{_lengths(work)} in, {work.new_tokens} out; greedy, end-of-sequence ignored"),
        ("rounds", f"{work.repeats} timed, after {work.warmup} to warm up; no two share a prompt"),
    ]


def _adapters(work: Workload) -> str:
    ranks = ranks_of_batch(work)
    rank = f"{min(ranks)} to {max(ranks)}" if min(ranks) < max(ranks) else f"{max(ranks)}"
    named = "in turn" if work.zipf is None else f"by Zipf's law with exponent {work.zipf:g}"
    return (
        f"{work.adapters} of rank {rank}, on all linear layers, named {named}; "
        f"{len(ranks)} distinct in the first batch, {work.server_slots} slots"
    )


def _arrival(work: Workload) -> str:
    return "at once" if work.rate is None else f"at random times, {work.rate:g} a second"


def _lengths(work: Workload) -> str:
    lengths = f"{work.shortest} to {work.prompt_tokens}" if work.shortest_prompt else f"{work.prompt_tokens}"
    return f"{lengths} ({work.shared_prefix} shared)" if work.shared_prefix else lengths


def _way(work: Workload) -> str:
    return "adapters in turn" if work.zipf is None else "adapters by popularity"


def _speeds(bench: Bench) -> list[tuple[str, ...]]:
    served, way = bench.served, _way(bench.workload)
    ours = [
        (f"{OWN_NAME}, {way}", *_speed(served.mixed.rounds), *_times(served.mixed)),
        (f"{OWN_NAME}, base only", *_speed(served.base_only.rounds), *_times(served.base_only)),
    ]
    others = [
        (f"{name}, {what}", *_speed(figures.rounds), *_times(figures))
        for name, load in bench.endpoints.items()
        for what, figures in ((way, load.mixed), ("base only", load.base_only))
        if figures is not None
    ]
    peft = [
        (f"PEFT, {way}, {dtype}", *_speed(speeds), "", "", "", "") for dtype, speeds in bench.peft.items()
    ]
    return [*ours, *others, *peft]


def _speed(speeds: tuple[float, ...]) -> tuple[str, str]:
    return f"{statistics.median(speeds):.1f}", " ".join(f"{speed:.1f}" for speed in speeds)


def _times(figures: Figures) -> tuple[str, str, str, str]:
    first, later = figures.ttft, figures.inter_token
    return (
        f"{first.p50:.2f} s",
        f"{first.p99:.2f} s",
        f"{1000 * later.p50:.1f} ms",
        f"{1000 * later.p99:.1f} ms",
    )


def _sweep(bench: Bench) -> list[tuple[str, ...]]:
    loads = (bench.served.sweep, *(load.sweep for load in bench.endpoints.values()))
    return [
        (
            str(count),
            *(f"{sweep[count].tokens_per_second:.1f}" for sweep in loads),
            f"{sweep_limit(bench, count):.0f}",
        )
        for count in bench.workload.sweep
    ]


def _ratios(bench: Bench) -> list[tuple[str, str]]:
    summary = summary_of(bench)
    base_only = ("to our base only", f"{summary.ratio_to_base_only:.2f}")
    others = [
        (f"to {name}", f"{summary.tokens_per_second / load.mixed.tokens_per_second:.2f}")
        for name, load in bench.endpoints.items()
    ]
    if bench.workload.rate is not None:
        others.append(
            ("to PEFT's mixed batch", "left out: it takes all requests at once; these come one by one")
        )
    if summary.ratio_to_peft is None:
        return [base_only, *others]
    peft = f"{summary.ratio_to_peft:.2f} (in {summary.peft_dtype}, where PEFT is fastest)"
    return [("to PEFT's mixed batch", peft), base_only, *others]


def _limits(bench: Bench) -> list[tuple[str, ...]]:
    rows = ((_way(bench.workload), bench.mixed_bytes), ("base only", bench.base_only_bytes))
    return [(name, *_limit(bench, part)) for name, part in rows]


def _limit(bench: Bench, part: StepBytes) -> tuple[str, ...]:
    sizes = (part.total, part.base, part.head, part.adapters, part.kv_cache)
    limit = decode_limit(bench.workload, part, bench.copy_bytes_per_second)
    return (*(size_text(size) for size in sizes), f"{limit:.0f}")


def _machine(bench: Bench) -> list[tuple[str, str]]:
    named = [(name, str(value)) for name, value in bench.machine.items() if value is not None]
    return [*named, ("versions", ", ".join(f"{name} {number}" for name, number in bench.versions.items()))]
