"""Compares `parfocal tune` with as many runs of `parfocal train` over the same settings.

    PYTHONPATH=tests .venv/bin/python -m bench.tuning FOLDER [--json FILE] [--through COMMAND]

Eight settings: four learning rates, two ranks. First the eight runs, one process after the other; then the
search over the same eight without pruning; then with the median pruner. Every process is timed by itself, in
seconds on the clock and of the CPU; a run's events say how long each part of it took. Checks that the best
trial's adapter is the best run's, byte for byte. `--through` is a command that runs each process.
"""

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

RATES = ("5e-4", "1e-3", "2.5e-3", "5e-3")
RANKS = ("8", "16")
_WEIGHTS = "adapter/adapter_model.safetensors"
_PARTS = ("begins", "base", "training", "comparison")


def main() -> None:
    """Runs it all and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--through", default="", help="a command that runs each process")
    given = parser.parse_args()
    found = measure(given)
    for line in table(found):
        print(line)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """The three ways one after the other, as one JSON object."""
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "emails.jsonl"
    with data.open("w", encoding="utf-8") as file:
        command = _parfocal("data", "example", "emails", "--rows", given.rows, "--seed", 1)
        subprocess.run(command, check=True, stdout=file)
    flags = (
        *("--data", data, "--name", "bench/tuning", "--no-publish", "--rendering", "chat"),
        *("--steps", given.steps, "--batch-size", given.batch_size),
    )
    runs = []
    for rank in RANKS:
        for rate in RATES:
            output = folder / f"run-{rank}-{rate}"
            own = ("--rank", rank, "--learning-rate", rate)
            found = _timed(("train", *flags, *own), output, given.through)
            runs.append({"rank": rank, "learning_rate": rate} | found)
    space = ("--search", f"rank={','.join(RANKS)}", "--search", f"learning_rate={','.join(RATES)}")
    searches = {}
    for pruner in ("none", "median"):
        how = (*space, "--sampler", "grid", "--pruner", pruner)
        searches[pruner] = _timed(("tune", *flags, *how), folder / f"search-{pruner}", given.through)
    return _found(given, runs, searches, folder)


def _found(
    given: argparse.Namespace, runs: Sequence[Mapping[str, Any]], searches: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    best = min(runs, key=lambda run: run["loss"])
    mine = folder / f"run-{best['rank']}-{best['learning_rate']}" / _WEIGHTS
    totals = {name: sum(run[name] for run in runs) for name in ("seconds", "cpu_seconds")}
    parts = {part: statistics.mean(run["parts"][part] for run in runs) for part in _PARTS}
    workload = {name: getattr(given, name) for name in ("rows", "steps", "batch_size")}
    ratios = {
        pruner: {name: search[name] / totals[name] for name in totals} for pruner, search in searches.items()
    }
    return {
        "workload": workload | {"runs": len(runs)},
        "runs": {**totals, "loss": best["loss"], "parts_of_one": parts, "each": list(runs)},
        "searches": dict(searches),
        "ratios": ratios,
        "pruning_alone": {name: searches["median"][name] / searches["none"][name] for name in totals},
        "same_adapter": {
            pruner: (folder / f"search-{pruner}" / _WEIGHTS).read_bytes() == mine.read_bytes()
            for pruner in searches
        },
    }


def table(found: Mapping[str, Any]) -> list[str]:
    """The figures for people."""
    runs, searches = found["runs"], found["searches"]
    lines = [f"{'':<34}{'s':>8}{'of runs':>9}{'CPU s':>8}{'of runs':>9}{'best loss':>11}"]
    lines.append(_line(f"{found['workload']['runs']} x parfocal train", runs, runs))
    for pruner, search in searches.items():
        lines.append(_line(f"parfocal tune, pruner {pruner}", search, runs))
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in runs["parts_of_one"].items())
    lines.append(f"One run of parfocal train: {parts}")
    lines.append(f"The best adapter is that of the best run, byte for byte: {found['same_adapter']}")
    return lines


def _line(name: str, one: Mapping[str, Any], runs: Mapping[str, Any]) -> str:
    shares = [one[unit] / runs[unit] for unit in ("seconds", "cpu_seconds")]
    return (
        f"{name:<34}{one['seconds']:>8.1f}{shares[0]:>9.2f}{one['cpu_seconds']:>8.1f}{shares[1]:>9.2f}"
        f"{one['loss']:>11.4f}"
    )


def _timed(words: Sequence[object], output: Path, through: str) -> dict[str, Any]:
    """Runs `parfocal` in a process of its own, which a process of its own times."""
    events = output.with_suffix(".events")
    command = _parfocal(*words, "--output", output, "--events", events)
    inner = [sys.executable, "-m", "bench.tuning", "timed", *command]
    print(f"{output.name} …", file=sys.stderr, flush=True)
    done = subprocess.run([*shlex.split(through), *inner], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    result = json.loads((output / "result.json").read_text("utf-8"))
    told = [json.loads(line) for line in events.read_text("utf-8").splitlines()]
    if "search" in result:
        search = result["search"]
        found["loss"] = search["trials"][search["best"] - 1]["loss"]
        found["trials"] = search["trials"]
        return found
    found["loss"] = min(each["loss"] for each in told if each["event"] == "scored" and not each["is_base"])
    found["parts"] = _parts(told, found["began"])
    return found


def _parts(told: Sequence[Mapping[str, Any]], began: float) -> dict[str, float]:
    """How long it took until the run said anything, until the base was scored, to train, to compare."""
    moments = [datetime.fromisoformat(each["time"]).timestamp() for each in told]
    base = next(at for each, at in zip(told, moments, strict=True) if each["event"] == "scored")
    trained = max(at for each, at in zip(told, moments, strict=True) if each["event"] == "saved")
    ends = (began, moments[0], base, trained, moments[-1])
    return {name: ends[at + 1] - ends[at] for at, name in enumerate(_PARTS)}


def _parfocal(*words: object) -> list[str]:
    return [sys.executable, "-m", "parfocal.cli", *map(str, words)]


def timed(command: Sequence[str]) -> None:
    """Runs a command and prints its seconds; a hold before this process began is not among them."""
    began, clock = time.time(), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - clock
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"began": began, "seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["timed"]:
        timed(sys.argv[2:])
    else:
        main()
