"""A bench as tables for people. Knows no measuring and no terminal."""

import statistics

from parfocal.bench.limits import Hardware, Need
from parfocal.bench.load import OWN_NAME, Figures
from parfocal.bench.reports.document import rooflines, summary_of, sweep_limit
from parfocal.bench.reports.sections import Section, mebibytes
from parfocal.bench.servers import Watched
from parfocal.bench.stand import Bench
from parfocal.bench.workloads import Workload, ranks_of_batch

_SPEED = "Speed: generated tokens over the whole wall time, prompts included"
_SPEED_HEADINGS = ("", "tokens/s", "each round", "first token p50", "p99", "token to token p50", "p99")
_LIMIT_HEADINGS = ("", "bytes", "operations", "at least", "bound by", "tokens/s at most", "reached")


def bench_sections(bench: Bench) -> list[Section]:
    """Workload, speeds, ratios, limits, the server's state and the machine."""
    limit = f"Limit: {hardware_text(bench.hardware)}, as measured here"
    sections = [
        Section("Workload", _workload(bench)),
        Section(_SPEED, _speeds(bench), _SPEED_HEADINGS),
        Section("Ratios", _ratios(bench)),
        Section(limit, _limits(bench), _LIMIT_HEADINGS),
    ]
    if bench.workload.sweep:
        title = f"Sweep by distinct adapters, {_sweep_way(bench.workload)}"
        sections.insert(2, Section(title, _sweep(bench), _sweep_headings(bench)))
    if bench.served.watched is not None:
        sections.append(Section("Server", _server(bench.served.watched)))
    return [*sections, Section("Machine", _machine(bench))]


def hardware_text(hardware: Hardware) -> str:
    """What the machine can do at most, in words."""
    moved = f"{hardware.bytes_per_second / 1e9:.1f} GB/s"
    return f"{moved} and {hardware.flops_per_second / 1e9:.0f} GFLOP/s in {hardware.fastest_dtype}"


def _workload(bench: Bench) -> list[tuple[str, str]]:
    work, served = bench.workload, bench.served
    return [
        ("base", f"{work.shape}, random weights, NF4; {served.stored.text} on {served.device}"),
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
    if work.in_flight is not None:
        return f"with {work.in_flight} in flight"
    return "at once" if work.rate is None else f"at random times, {work.rate:.3g} a second"


def _lengths(work: Workload) -> str:
    lengths = f"{work.shortest} to {work.prompt_tokens}" if work.shortest_prompt else f"{work.prompt_tokens}"
    return f"{lengths} ({work.shared_prefix} shared)" if work.shared_prefix else lengths


def _way(work: Workload) -> str:
    return "adapters in turn" if work.zipf is None else "adapters by popularity"


def _speeds(bench: Bench) -> list[tuple[str, ...]]:
    load, way = bench.served.load, _way(bench.workload)
    named = {way: load.mixed, "base only": load.base_only}
    if bench.against is not None:
        named[bench.against.text] = load.alternative
    ours = [
        (f"{OWN_NAME}, {what}", *_speed(figures.rounds), *_times(figures))
        for what, figures in named.items()
        if figures is not None
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


def _sweep_way(work: Workload) -> str:
    if work.is_open:
        return f"{_arrival(work)}, {work.server_slots} slots: time to the first token"
    return "all requests at once: tokens/s"


def _sweep_headings(bench: Bench) -> tuple[str, ...]:
    names = (OWN_NAME, *bench.endpoints)
    if bench.workload.is_open:
        return ("adapters", *(f"{name} {percentile}" for name in names for percentile in ("p50", "p99")))
    return ("adapters", *names, "at most", "reached")


def _sweep(bench: Bench) -> list[tuple[str, ...]]:
    loads = (bench.served.load.sweep, *(load.sweep for load in bench.endpoints.values()))
    return [
        (str(count), *_swept(bench, [load[count] for load in loads], count)) for count in bench.workload.sweep
    ]


def _swept(bench: Bench, figures: list[Figures], count: int) -> tuple[str, ...]:
    if bench.workload.is_open:
        return tuple(f"{time:.2f} s" for each in figures for time in (each.ttft.p50, each.ttft.p99))
    limit = sweep_limit(bench, count)
    speeds = (f"{each.tokens_per_second:.1f}" for each in figures)
    return (*speeds, f"{limit:.0f}", f"{figures[0].tokens_per_second / limit:.0%}")


def _ratios(bench: Bench) -> list[tuple[str, str]]:
    summary, load = summary_of(bench), bench.served.load
    pairs = [_peft_ratio(bench)] if bench.peft or bench.workload.is_open else []
    if summary.ratio_to_base_only is not None:
        pairs.append(("to our base only", f"{summary.ratio_to_base_only:.2f}"))
    if load.alternative is not None and bench.against is not None:
        first = (
            load.mixed.ttft.p50 / load.alternative.ttft.p50,
            load.mixed.ttft.p99 / load.alternative.ttft.p99,
        )
        times = f"; first token p50 {first[0]:.2f}, p99 {first[1]:.2f}"
        pairs.append((f"to {bench.against.text}", f"{summary.ratio_to_alternative:.2f}{times}"))
    for name, other in bench.endpoints.items():
        speed = summary.tokens_per_second / other.mixed.tokens_per_second
        pairs.append((f"to {name}", f"{speed:.2f}"))
    return pairs


def _peft_ratio(bench: Bench) -> tuple[str, str]:
    summary, name = summary_of(bench), "to PEFT's mixed batch"
    if summary.ratio_to_peft is None:
        return name, "left out: it takes all requests at once; these come one by one"
    return name, f"{summary.ratio_to_peft:.2f} (in {summary.peft_dtype}, where PEFT is fastest)"


def _limits(bench: Bench) -> list[tuple[str, ...]]:
    summary, hardware = summary_of(bench), bench.hardware
    speeds = {"mixed": summary.tokens_per_second, "base_only": summary.base_only_tokens_per_second}
    names = {"mixed": _way(bench.workload), "base_only": "base only"}
    rows: list[tuple[str, ...]] = []
    for kind, roof in rooflines(bench).items():
        decode, run, speed = roof.decode_limit(hardware), roof.run_limit(hardware), speeds[kind]
        if speed is not None:
            what = names[kind]
            reached = "" if bench.workload.is_open else f"{speed / run:.0%}"
            rows += [
                (
                    f"{what}: decode step of {roof.batch}",
                    *_need(roof.decode, hardware),
                    f"{decode:.0f}",
                    "",
                ),
                (f"{what}: all prompts", *_need(roof.prompts, hardware), "", ""),
                (f"{what}: the whole round", "", "", "", "", f"{run:.0f}", reached),
            ]
    return rows


def _need(need: Need, hardware: Hardware) -> tuple[str, ...]:
    flops, seconds = f"{need.flops.total / 1e9:.1f} GFLOP", f"{1000 * need.seconds(hardware):.1f} ms"
    return mebibytes(need.bytes.total), flops, seconds, need.bound(hardware)


def _server(watched: Watched) -> list[tuple[str, str]]:
    rest, memory = watched.rest, watched.memory
    held = (
        f"{rest.requests_running} requests running, {rest.requests_waiting} waiting, "
        f"{rest.blocks.get('used', 0)} blocks in use, {rest.pins} pins on {rest.adapters} adapters"
    )
    grown = f"{mebibytes(abs(watched.grown_bytes))} {'more' if watched.grown_bytes >= 0 else 'less'}"
    return [
        ("memory", f"{mebibytes(memory[-1].rss_bytes)} resident, {grown} than after a tenth of the requests"),
        ("at rest", held if not rest.is_clean else f"nothing held: {held}"),
        ("requests", ", ".join(f"{count} {name}" for name, count in rest.outcomes.items())),
    ]


def _machine(bench: Bench) -> list[tuple[str, str]]:
    named = [(name, str(value)) for name, value in bench.machine.items() if value is not None]
    return [*named, ("versions", ", ".join(f"{name} {number}" for name, number in bench.versions.items()))]
