"""Prints a bench for people. Knows no measuring."""

import statistics

from ..display import show_heading, show_pairs, show_table, size_text
from .document import summary_of
from .figures import Figures
from .limit import StepBytes, decode_limit
from .stand import Bench

_SPEED_HEADINGS = ("", "tokens/s", "each round", "first token p50", "p99", "token to token p50", "p99")
_LIMIT_HEADINGS = ("", "a step reads", "base", "head", "adapters", "KV cache", "tokens/s at most")


def show_bench(bench: Bench) -> None:
    """Prints workload, speeds, ratios, limits and machine."""
    show_heading("Workload")
    show_pairs(_workload(bench))
    show_heading("Speed: generated tokens over the whole wall time, prompts included")
    show_table(_SPEED_HEADINGS, _speeds(bench))
    show_heading("Ratios")
    show_pairs(_ratios(bench))
    show_heading(
        f"Limit: decode steps alone, read at {bench.copy_bytes_per_second / 1e9:.1f} GB/s as measured here"
    )
    show_table(_LIMIT_HEADINGS, _limits(bench))
    show_heading("Machine")
    show_pairs(_machine(bench))


def _workload(bench: Bench) -> list[tuple[str, str]]:
    work, served = bench.workload, bench.served
    return [
        ("base", f"{work.shape}, random weights, NF4; {served.dtype} on {served.device}"),
        ("adapters", f"{work.distinct_adapters} distinct, rank {work.rank}, on all linear layers"),
        ("requests", f"{work.requests} at once, streamed over gRPC"),
        ("tokens", f"{work.prompt_tokens} in, {work.new_tokens} out; greedy, end-of-sequence ignored"),
        ("rounds", f"{work.repeats} timed, after {work.warmup} to warm up; no two share a prompt"),
    ]


def _speeds(bench: Bench) -> list[tuple[str, ...]]:
    served = bench.served
    ours = [
        ("Parfocal, adapters in turn", *_speed(served.mixed.rounds), *_times(served.mixed)),
        ("Parfocal, base only", *_speed(served.base_only.rounds), *_times(served.base_only)),
    ]
    peft = [
        (f"PEFT, adapters in turn, {dtype}", *_speed(speeds), "", "", "", "")
        for dtype, speeds in bench.peft.items()
    ]
    return [*ours, *peft]


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


def _ratios(bench: Bench) -> list[tuple[str, str]]:
    summary = summary_of(bench)
    base_only = ("to our base only", f"{summary.ratio_to_base_only:.2f}")
    if summary.ratio_to_peft is None:
        return [base_only]
    peft = f"{summary.ratio_to_peft:.2f} (in {summary.peft_dtype}, where PEFT is fastest)"
    return [("to PEFT's mixed batch", peft), base_only]


def _limits(bench: Bench) -> list[tuple[str, ...]]:
    rows = (("adapters in turn", bench.mixed_bytes), ("base only", bench.base_only_bytes))
    return [(name, *_limit(bench, part)) for name, part in rows]


def _limit(bench: Bench, part: StepBytes) -> tuple[str, ...]:
    sizes = (part.total, part.base, part.head, part.adapters, part.kv_cache)
    limit = decode_limit(bench.workload, part, bench.copy_bytes_per_second)
    return (*(size_text(size) for size in sizes), f"{limit:.0f}")


def _machine(bench: Bench) -> list[tuple[str, str]]:
    named = [(name, str(value)) for name, value in bench.machine.items() if value is not None]
    return [*named, ("versions", ", ".join(f"{name} {number}" for name, number in bench.versions.items()))]
