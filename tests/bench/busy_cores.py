"""Measures what a busy machine does to training, the demo and serving; run it where nothing else runs.

    python tests/bench/busy_cores.py new=.venv/bin/parfocal old=../before/.venv/bin/parfocal --rounds 3

Each round measures every command in turn, so that a change of the machine meets all alike:

- quiet: one `parfocal train` on the embedded base, `--steps` steps of 8 rows of the demo's memos (about 165
  tokens each); its tokens per second.
- twins: two of them at the same time; the slower one's tokens per second.
- loops: one of them beside two processes that keep a core busy each (`while True: pass`).
- serve-quiet, serve-loops: `parfocal bench` (llama-test, 8 requests, 8 adapters, 32 + 32 tokens), alone and
  beside the two loops; tokens per second over the whole round.
- demo-quiet, demo-loops: seconds that `parfocal demo` takes. Left out unless asked for: minutes each.

Prints one line a figure and, at the end, medians and their ratios to the quiet figure of the same command.
Needs no library.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

QUIET = {"twins": "quiet", "loops": "quiet", "serve-loops": "serve-quiet", "demo-loops": "demo-quiet"}
_ROWS = """
import json, sys
from parfocal.training.examples import datasets, office_memos
made = datasets(office_memos, training=500, held_out=20, seed=2)
for path, rows in ((sys.argv[1], made.training), (sys.argv[2], made.held_out)):
    open(path, "w").write("".join(json.dumps(row) + "\\n" for row in rows))
"""
_BENCH = "bench --shape llama-test --requests 8 --adapters 8 --prompt-tokens 32 --new-tokens 32 --repeats 3"
_BENCH_ALONE = "--skip-peft --skip-base --json"
_TRAIN = (
    "train --name bench/memo --no-publish --rendering chat --batch-size 8 --evaluations 1 --keep last --json"
)


class Bench:
    """Runs one `parfocal` in a folder of its own."""

    def __init__(self, command: Path, folder: Path, steps: int) -> None:
        self._command = command.absolute()
        self._folder = folder
        self._steps = steps
        self._runs = 0
        folder.mkdir()
        python = self._command.with_name("python")
        subprocess.run([python, "-c", _ROWS, folder / "rows.jsonl", folder / "held.jsonl"], check=True)

    def quiet(self) -> float:
        """One training: tokens per second."""
        return self._speed(self._training())

    def twins(self) -> float:
        """Two trainings at the same time: tokens per second of the slower."""
        both = [self._training(), self._training()]
        return min(map(self._speed, both))

    def loops(self) -> float:
        """One training beside two busy loops."""
        with busy_loops(2):
            return self.quiet()

    def serve_quiet(self) -> float:
        """A small serving workload: tokens per second."""
        output = self._output(*_BENCH.split(), *_BENCH_ALONE.split())
        return float(json.loads(output)["tokens_per_second"])

    def serve_loops(self) -> float:
        """The same beside two busy loops."""
        with busy_loops(2):
            return self.serve_quiet()

    def demo_quiet(self) -> float:
        """The demo: seconds."""
        began = time.monotonic()
        self._output("demo", "--folder", self._new_folder())
        return time.monotonic() - began

    def demo_loops(self) -> float:
        """The demo beside two busy loops: seconds."""
        with busy_loops(2):
            return self.demo_quiet()

    def _training(self) -> "subprocess.Popen[str]":
        files = ("--data", f"{self._folder}/rows.jsonl", "--held-out", f"{self._folder}/held.jsonl")
        work = (*_TRAIN.split(), *files, "--steps", str(self._steps), "--output", str(self._new_folder()))
        return self._start(*work)

    def _speed(self, training: "subprocess.Popen[str]") -> float:
        output, said = training.communicate()
        if training.returncode:
            raise SystemExit(f"{self._command} train failed:\n{said}")
        return float(json.loads(output)["tokens_per_second"])

    def _output(self, *arguments: str | Path) -> str:
        process = self._start(*arguments)
        output, said = process.communicate()
        if process.returncode:
            raise SystemExit(f"{self._command} {arguments[0]} failed:\n{said}")
        return output

    def _start(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        own_cache = os.environ | {"XDG_CACHE_HOME": str(self._folder / "cache")}
        return subprocess.Popen(
            [self._command, *arguments], stdout=pipe, stderr=pipe, text=True, cwd=self._folder, env=own_cache
        )

    def _new_folder(self) -> Path:
        self._runs += 1
        return self._folder / f"run-{self._runs}"


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keeps `count` cores busy, as any other program might."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def figures(
    benches: Mapping[str, Bench], scenes: list[str], rounds: int
) -> dict[tuple[str, str], list[float]]:
    """Returns every figure by command and scene, measured in turn."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for number in range(rounds):
        for scene in scenes:
            for name, bench in benches.items():
                measure: Callable[[], float] = getattr(bench, scene.replace("-", "_"))
                found[name, scene].append(measure())
                figure, load = found[name, scene][-1], os.getloadavg()[0]
                print(f"round {number + 1}  {scene:<12}{name:<8}{figure:>9.1f}  load {load:.1f}", flush=True)
    return found


def summary(found: Mapping[tuple[str, str], list[float]]) -> Iterator[str]:
    """Yields a line for each command and scene: the median, and its ratio to that of the quiet machine."""
    medians = {key: statistics.median(values) for key, values in found.items()}
    for (name, scene), value in medians.items():
        quiet = medians.get((name, QUIET.get(scene, scene)))
        yield f"{name:<8}{scene:<12}{value:>9.1f}" + (f"  {value / quiet:.2f} of quiet" if quiet else "")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commands", nargs="+", metavar="NAME=PARFOCAL", help="a name and the command's path")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--scenes", default="quiet,twins,loops,serve-quiet,serve-loops")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="busy-cores-") as folder:
        pairs = (text.partition("=") for text in given.commands)
        benches = {name: Bench(Path(path), Path(folder) / name, given.steps) for name, _, path in pairs}
        for line in summary(figures(benches, given.scenes.split(","), given.rounds)):
            print(line)


if __name__ == "__main__":
    main()
