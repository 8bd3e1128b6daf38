"""Compares the speed of two checkouts; run it where nothing else runs.

    .venv/bin/python tests/bench/checkouts.py old=../before/.venv/bin/parfocal new=.venv/bin/parfocal

Both servers run for the whole time and take turns, round by round, so that a change of the machine meets both
alike; who begins a round takes turns too. The workloads, on `--shape`, with rank 16:

- a: 16 requests at once on 16 adapters, 128 tokens in and 64 out; tokens per second.
- b: the same on one adapter.
- one: one request by itself; its tokens per second.
- c: 128 requests on 64 adapters in 8 slots, Zipf 1.0, 32 tokens in and 16 out, at half the rate that the
  first server manages; the median and the 99th percentile of the time to the first token.
- crowd: the same requests all at once; tokens per second.

Prints a line a round and, for each workload, the geometric mean of all ratios with its standard error;
over 1 is better than the first. `--json FILE` writes every figure.
"""

import argparse
import contextlib
import json
import math
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from parfocal.bench.load import Round, run_round
from parfocal.bench.made import cached_base
from parfocal.bench.servers import ServerPlace, server_process
from parfocal.bench.workloads import WARMUP_ROUND, Workload, calls_of_round

_WARMUPS = 2
_SATURATING = 2_000_000


@dataclass(frozen=True, slots=True)
class Server:
    """A checkout's server that runs, and what to call it."""

    name: str
    address: str

    def round(self, workload: Workload, number: int) -> Round:
        """Sends one round's requests and reads them to their end."""
        return run_round(self.address, calls_of_round(workload, number, False), workload.new_tokens)


def workloads(shape: str) -> dict[str, Workload]:
    """What each letter means."""
    sixteen = Workload(shape=shape, requests=16, adapters=16, rank=16, prompt_tokens=128, new_tokens=64)
    crowd = Workload(
        shape=shape, requests=128, adapters=64, slots=8, rank=16, zipf=1.0, rate_share=0.5,
        prompt_tokens=32, new_tokens=16,
    )  # fmt: skip
    return {
        "a": sixteen,
        "b": replace(sixteen, adapters=1),
        "one": replace(sixteen, requests=1, adapters=1),
        "c": crowd,
        "crowd": replace(crowd, rate_share=None),
    }


@contextlib.contextmanager
def servers(commands: Mapping[str, Path], workload: Workload, folder: Path) -> Iterator[list[Server]]:
    """Starts each checkout's server on the same base, with adapters that it published itself."""
    with contextlib.ExitStack() as stack:
        running = []
        for name, command in commands.items():
            cache = folder / name
            registry = _published(command, workload, cache)
            base = cached_base(workload.sizes(), cache / "parfocal/bench")
            place = ServerPlace(base, registry, "cpu", folder / f"{name}.log")
            start = (str(command.absolute()), "serve")
            process = stack.enter_context(
                server_process(_known(start, place.settings(workload)), place.log, start)
            )
            running.append(Server(name, process.address))
        yield running


def _known(command: tuple[str, ...], settings: Mapping[str, str]) -> dict[str, str]:
    """The settings that this checkout knows: an older one has fewer."""
    said = subprocess.run([*command, "--help"], check=True, capture_output=True, text=True).stdout
    return {name: value for name, value in settings.items() if f"--{name.replace('_', '-')[:20]}" in said}


def _published(command: Path, workload: Workload, cache: Path) -> Path:
    short = "--skip-peft --skip-base --warmup 0 --requests 1 --prompt-tokens 8 --new-tokens 1 --json"
    made = (f"--shape={workload.shape}", f"--rank={workload.rank}", f"--adapters={workload.adapters}")
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    run = [str(command.absolute()), "bench", *short.split(), *made]
    subprocess.run(run, check=True, env=environment, cwd=command.parent, stdout=subprocess.DEVNULL)
    (registry,) = (cache / "parfocal/bench").glob(f"adapters-{workload.shape}-*")
    return registry


def ratios(pair: list[Server], workload: Workload, rounds: int) -> dict[str, list[float]]:
    """Each figure's ratio of the second server to the first, round by round; over 1 is better."""
    for server in pair:
        for number in range(_WARMUPS):
            server.round(replace(workload, rate_share=None), WARMUP_ROUND + number)
    if workload.rate_share is not None:
        workload = _at_rate(pair[0], workload)
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        order = pair if number % 2 else pair[::-1]
        measured = {server.name: figures(server.round(workload, number), workload) for server in order}
        before, after = (measured[server.name] for server in pair)
        for figure in before:
            better = after[figure] / before[figure]
            found.setdefault(figure, []).append(1 / better if figure.startswith("ttft") else better)
            print(f"  {number + 1:>3}  {figure:<10}{before[figure]:>10.3f}{after[figure]:>10.3f}", flush=True)
    return found


def _at_rate(server: Server, workload: Workload) -> Workload:
    closed = replace(workload, rate_share=None)
    seconds = server.round(closed, _SATURATING).seconds
    rate = (workload.rate_share or 1.0) * workload.requests / seconds
    print(f"  at {rate:.1f} requests per second")
    return replace(workload, rate_share=None, rate=rate)


def figures(done: Round, workload: Workload) -> dict[str, float]:
    """The round's speed; at a rate, which nobody outruns, its times to the first token."""
    if workload.rate is None:
        return {"tokens/s": done.tokens / done.seconds}
    first = sorted(answer.first_token_s for answer in done.answers)
    return {"ttft p50": statistics.median(first), "ttft p99": first[math.ceil(0.99 * len(first)) - 1]}


def summary(values: list[float]) -> tuple[float, float]:
    """The geometric mean and its standard error."""
    logs = [math.log(value) for value in values]
    mean = math.exp(statistics.fmean(logs))
    error = statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    return mean, mean * error


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commands", nargs=2, metavar="NAME=PARFOCAL", help="a name and the command's path")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--workloads", default="a,b,one,c")
    parser.add_argument("--shape", default="llama-135m")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    commands = {name: Path(path) for name, _, path in (text.partition("=") for text in given.commands)}
    written: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="checkouts-") as folder:
        for letter in given.workloads.split(","):
            workload = workloads(given.shape)[letter]
            with servers(commands, workload, Path(folder)) as pair:
                print(f"{letter}: {pair[1].name} against {pair[0].name}")
                written[letter] = ratios(pair, workload, given.rounds)
            for figure, values in written[letter].items():
                mean, error = summary(values)
                print(f"{letter}  {figure}  {mean:.3f} ± {error:.3f}", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
