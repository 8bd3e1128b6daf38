"""Prints the README's table of one folder of results, as `run.sh` writes them. Needs no library.

python tests/bench/table.py tests/bench/results/MACHINE-DATE
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Found = dict[str, Any]
Row = tuple[str, str, str]

_TIMES = "\N{MULTIPLICATION SIGN}"


def table_of(folder: Path) -> str:
    """Returns a Markdown table of what was measured; workloads without a file are left out."""
    found = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))}
    rows = [row for name, rows_of in _ROWS.items() if name in found for row in rows_of(found[name])]
    table = ["| workload | measured | compared |", "|---|---|---|"]
    table += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*table, "", *_machine(found)])


def _a(what: str) -> Callable[[Found], Iterator[Row]]:
    def rows(found: Found) -> Iterator[Row]:
        yield what, _speed(found), f"{_limit(found)}; {_ratio(found['ratio_to_base_only'])} base only"
        yield "the same, base only", _speed(found["base_only"]), _limit(found, "base_only")
        if found["ratio_to_peft"] is not None:
            peft = f"{found['peft_tokens_per_second']:.1f} tokens/s"
            yield (
                f"PEFT's mixed batch, {found['peft_dtype']}",
                peft,
                f"we are {_ratio(found['ratio_to_peft'])}",
            )
        yield from _endpoints(found)

    return rows


def _b(what: str) -> Callable[[Found], Iterator[Row]]:
    def rows(found: Found) -> Iterator[Row]:
        yield what, _speed(found), f"{_ratio(found['ratio_to_base_only'])} base only"
        yield from _endpoints(found)

    return rows


def _one_stream(what: str) -> Callable[[Found], Iterator[Row]]:
    def rows(found: Found) -> Iterator[Row]:
        between = f"{_between(found):.1f} ms from token to token"
        yield what, between, f"base only {_between(found['base_only']):.1f} ms"
        for name, other in found["endpoints"].items():
            ratio = _ratio(other["inter_token_ratio"])
            yield f"the same, {name}", f"{_between(other):.1f} ms", f"our time is {ratio} theirs"

    return rows


def _base(found: Found) -> Iterator[Row]:
    yield "16 requests, base only", _speed(found["base_only"]), _limit(found, "base_only")
    for name, other in found["endpoints"].items():
        yield from _base_of(found, name, other)


def _c(found: Found) -> Iterator[Row]:
    ratio, rate = found["against"]["ttft_ratio"], found["workload"]["rate"]
    what = f"64 adapters, 8 slots, Zipf 1.0, {rate:.3g} requests/s (half of saturation)"
    times = f"p50 {_ratio(ratio['p50'])}, p99 {_ratio(ratio['p99'])}"
    compared = f"all resident: {_first_token(found['against'])}; {times}"
    yield what, _first_token(found), compared


def _against(what: str) -> Callable[[Found], Iterator[Row]]:
    def rows(found: Found) -> Iterator[Row]:
        other = found["against"]
        yield what, _speed(found), f"{_ratio(other['ratio'])} {other['what']} ({_speed(other)})"

    return rows


def _long(found: Found) -> Iterator[Row]:
    server, requests = found["server"], found["workload"]["requests"]
    last = server["memory"][-1]["rss_bytes"] / 2**20
    rest = server["rest"]
    held = "nothing" if rest["is_clean"] else f"{rest['blocks'].get('used', 0)} blocks, {rest['pins']} pins"
    ended = ", ".join(f"{count} {outcome}" for outcome, count in rest["outcomes"].items())
    measured = f"{last:.0f} MiB resident, {server['grown_bytes'] / 2**20:+.0f} MiB since a tenth"
    yield (
        f"{requests} requests, 1,000 adapters, 32 slots",
        measured,
        f"held at the end: {held}; ended: {ended}",
    )


def _c_sweep(found: Found) -> Iterator[Row]:
    slots = found["workload"]["slots"]
    times = (f"{each['adapters']}: {1000 * each['ttft_seconds']['p50']:.0f}" for each in found["sweep"])
    yield f"{slots} slots, first token p50 by adapters", f"{', '.join(times)} ms", "c_sweep.png"


def _steps(found: Found) -> Iterator[Row]:
    for name, step in found["steps"].items():
        parts = sorted({**step["parts"], "other": step["other"]}.items(), key=lambda part: -part[1])
        told = "; ".join(f"{part} {1000 * seconds:.1f}" for part, seconds in parts[:5])
        limit = f"at least {1000 * step['limit']['seconds']:.1f} ms; {told}"
        yield f"{name}, {step['tokens']} tokens", f"{1000 * step['seconds']:.1f} ms", limit


def _growth(found: Found) -> Iterator[Row]:
    line = found["by_adapters"]
    times = ", ".join(f"{point['adapters']}: {1000 * point['seconds']:.1f}" for point in line)
    yield f"a decode step of {line[0]['rows']} rows by distinct adapters", f"{times} ms", "growth.png"


_A, _B, _ONE = "16 requests, 16 adapters of rank 16", "16 requests on one adapter", "1 request, 1 adapter"
_FAST = "activations and adapters in 8 bits"
_ROWS: dict[str, Callable[[Found], Iterator[Row]]] = {
    "a": _a(_A),
    "b": _b(_B),
    "one_stream": _one_stream(_ONE),
    "fast": _a(f"{_A}, {_FAST}"),
    "b_fast": _b(f"{_B}, {_FAST}"),
    "one_fast": _one_stream(f"{_ONE}, {_FAST}"),
    "base": _base,
    "mixed": _against("15 adapters of rank 8 and one of 128"),
    "int8": _against("adapters in 8 bit"),
    "c": _c,
    "c_sweep": _c_sweep,
    "d": _against("1,000 adapters of rank 4, 32 slots, Zipf 1.0"),
    "d_long": _long,
    "steps": _steps,
    "growth": _growth,
}


def _endpoints(found: Found) -> Iterator[Row]:
    for name, other in found["endpoints"].items():
        yield f"the same, {name}", _speed(other), f"we are {_ratio(other['ratio_of_ours'])}"
        yield from _base_of(found, name, other)


def _base_of(found: Found, name: str, other: Found) -> Iterator[Row]:
    theirs, ours = other["base_only"], found["base_only"]
    if theirs is not None:
        ratio = ours["tokens_per_second"] / theirs["tokens_per_second"]
        yield f"{name}, base only", _speed(theirs), f"our base only is {_ratio(ratio)}"


def _between(found: Found) -> float:
    """Returns the milliseconds from token to token."""
    return 1000.0 * float(found["inter_token_seconds"]["p50"])


def _speed(found: Found) -> str:
    return f"{found['tokens_per_second']:.0f} tokens/s"


def _ratio(value: float) -> str:
    return f"{value:.2f} {_TIMES}"


def _limit(found: Found, kind: str = "mixed") -> str:
    limit = found["limit"][kind]
    return f"{limit['share_reached']:.0%} of the limit, {limit['run_tokens_per_second']:.0f} tokens/s"


def _first_token(found: Found) -> str:
    first = found["ttft_seconds"]
    return f"first token p50 {1000 * first['p50']:.0f} ms, p99 {1000 * first['p99']:.0f} ms"


def _machine(found: dict[str, Found]) -> Iterator[str]:
    for each in list(found.values())[:1]:
        machine, hardware = each["machine"], each.get("hardware") or each["limit"]["hardware"]
        bandwidth = f"{hardware['bytes_per_second'] / 1e9:.1f} GB/s"
        rate = f"{hardware['flops_per_second'] / 1e9:.0f} GFLOP/s in {hardware['fastest_dtype']}"
        yield f"{machine['cpu']}, {machine['cores']} cores; {bandwidth}, {rate}; {machine['system']}."
        yield ", ".join(f"{name} {version}" for name, version in each["versions"].items()) + "."


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(table_of(Path(sys.argv[1])))
