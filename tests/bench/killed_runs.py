"""Kills a run with SIGKILL at random instants, resumes it each time, and compares it with one never killed.

    PYTHONPATH=tests .venv/bin/python -m bench.killed_runs FOLDER [KILLS]

An instant is drawn anew each time, from the first step's report on; checkpoints are as frequent as can be, so
that some kills meet one half written. Exits with 1 unless the adapters are equal byte for byte.
"""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from parfocal.bench.made import cached_base
from parfocal.bench.workloads.shapes import shape_named

_WEIGHTS = "adapter/adapter_model.safetensors"
_LATEST_S = 4.0  # after a part of the run has begun to learn


def main(folder: Path, kills: int) -> int:
    """Runs it all; returns the exit code."""
    base = cached_base(shape_named("llama-test"), folder / "bases")
    settings = _settings(folder, base)
    whole, killed = folder / "whole", folder / "killed"
    _parfocal("train", *settings, "--output", str(whole)).wait()
    chance, resumes = random.Random(time.time_ns()), 0
    process = _parfocal("train", *settings, "--output", str(killed))
    while resumes < kills and _learns(process, killed):
        delay = chance.uniform(0, _LATEST_S)
        time.sleep(delay)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        marks = sorted(path.parent.name for path in killed.glob("checkpoints/*/complete.json"))
        halves = sorted(
            path.name for path in killed.glob("checkpoints/checkpoint-*") if path.name not in marks
        )
        print(f"killed {delay:.1f} s into its steps; whole: {marks}, half written: {halves}", flush=True)
        process, resumes = _parfocal("train", "--resume", "--output", str(killed)), resumes + 1
    code = process.wait()
    equal = (whole / _WEIGHTS).read_bytes() == (killed / _WEIGHTS).read_bytes() if code == 0 else False
    print(f"{resumes} kills; exit code {code}; adapters equal: {equal}")
    return 0 if equal and resumes == kills else 1


def _learns(process: "subprocess.Popen[str]", run: Path) -> bool:
    """Waits until the part of the run that just began has reported a step; False if it has ended."""
    events = run.with_suffix(".events")
    seen = events.stat().st_size if events.exists() else 0
    while process.poll() is None:
        if events.exists():
            with events.open(encoding="utf-8") as file:
                file.seek(seen)
                if '"event": "step"' in file.read():
                    return True
        time.sleep(0.05)
    return False


def _settings(folder: Path, base: Path) -> list[str]:
    data = folder / "rows.jsonl"
    rows = [{"prompt": f"{n} {'abcdefgh'[n % 8]}", "completion": "abcdefgh"[n % 8] * 3} for n in range(80)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    flags = {"steps": 400, "batch-size": 4, "rank": 4, "evaluations": 40, "dropout": 0.1}
    given = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    return [
        *("--data", str(data), "--name", "bench", "--base", str(base), "--no-publish"),
        *("--checkpoint-minutes", "0.01", *given),
    ]


def _parfocal(*words: str) -> "subprocess.Popen[str]":
    output = Path(words[words.index("--output") + 1])
    command = [sys.executable, "-m", "parfocal.cli", *words, "--events", str(output.with_suffix(".events"))]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, text=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10))
