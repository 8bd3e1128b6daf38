"""Compares what a run is said to need with what it takes: memory at its peak, and time after ten steps.

    PYTHONPATH=tests .venv/bin/python -m bench.training_estimates FOLDER

trains on the embedded base and on a random Llama of 135 M parameters, each in a process of its own whose
resident memory at the peak the system counts, and writes a table. It keeps the random base in FOLDER.
"""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from parfocal.bench.made import cached_base
from parfocal.bench.workloads.shapes import shape_named
from parfocal.engine import quick_imports, quiet_libraries
from parfocal.training import SilentWatcher, StepDone, TrainConfig, estimated, plan, train

_KNOWN_AFTER = 10  # steps
_RUNS = {  # base: rows, most words in a row, rows in a pass, steps
    "tiny": (160, 30, 8, 60),
    "llama-135m": (60, 10, 4, 30),
}


class _Foretold(SilentWatcher):
    """Notes what the time left was said to be after ten steps."""

    def __init__(self) -> None:
        self.began = self.at = 0.0
        self.left = 0.0

    def say(self, text: str) -> None:
        """Notes when the first step begins."""
        if text.startswith("The base alone"):
            self.began = time.monotonic()

    def step(self, done: StepDone) -> None:
        """Notes the forecast."""
        if done.step == _KNOWN_AFTER:
            self.at, self.left = time.monotonic(), done.seconds_left


def main(folder: Path) -> None:
    """Runs each base in its own process, and prints the table."""
    print(f"{'base':<12}{'memory: said':>14}{'was':>8}{'time said, before':>20}{'after 10':>10}{'was':>8}")
    for name in _RUNS:
        command = [sys.executable, "-m", "bench.training_estimates", str(folder), name]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        print(
            f"{name:<12}{found['memory_said']:>10.0f} MiB{found['memory_was']:>8.0f}"
            f"{found['time_before']:>18.0f} s{found['time_after_ten']:>10.0f}{found['time_was']:>8.0f}"
        )


def measure(folder: Path, name: str) -> dict[str, float]:
    """One run: what it was said to need, in MiB and seconds, and what it took."""
    count, words, rows, steps = _RUNS[name]
    base = name if name == "tiny" else str(cached_base(shape_named(name), folder / "bases"))
    data, output = folder / f"{name}.jsonl", folder / "run"
    shutil.rmtree(output, ignore_errors=True)
    _write_rows(data, count, words)
    config = TrainConfig(
        data=data, name="bench", base=base, output=output, steps=steps, batch_size=rows, evaluations=3
    )
    planned = plan(config)
    with quiet_libraries(), quick_imports():
        estimate = estimated(planned)
    assert estimate is not None and estimate.memory is not None and estimate.seconds is not None
    watcher = _Foretold()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    train(config, watcher)
    ended = time.monotonic()
    # Until the adapter is scored, which the time left is not said to hold.
    scored = json.loads((output / "result.json").read_text())["seconds"]
    shutil.rmtree(output)
    return {
        "memory_said": estimate.memory.total / 2**20,
        "memory_was": _peak_kib() / 2**10,
        "time_before": estimate.seconds,
        "time_after_ten": watcher.at - watcher.began + watcher.left,
        "time_was": min(scored, ended - watcher.began),
    }


def _write_rows(path: Path, count: int, words: int) -> None:
    chance = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = [f"w{chance.randint(0, 500)}" for _ in range(chance.randint(words // 2, words))]
            row = {"prompt": f"{number} {' '.join(text)}", "completion": " ".join(text[: words // 4])}
            file.write(json.dumps(row) + "\n")


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2])))
    else:
        main(Path(sys.argv[1]))
