"""The whole stand: every part in turn within its limit and the time that there is; one JSON at the end.

python tests/bench/gpu.py [--dry] [--minutes 20] [--profile] [PART…]

Needs no library itself, so that it can say which ones are missing.
"""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from bench.gpu_stand.notes import write_json
from bench.gpu_stand.turns import Outcome, Part, Turn, take_turns

# In the order of their turns, the most telling first; the most seconds that each may take. What stands up to
# `mixed` takes ten minutes at most. `prepare` and `compile` run beside the tests.
LIMITS_S = {
    "prepare": 90.0,
    "compile": 150.0,
    "tests": 200.0,
    "hardware": 20.0,
    "products": 75.0,
    "launches": 60.0,
    "decode": 75.0,
    "profile": 60.0,
    "mixed": 110.0,
    "sampling": 20.0,
    "fits": 150.0,
    "many": 100.0,
    "train": 90.0,
    "int8": 60.0,
    "same": 70.0,
    "cold": 35.0,
    "sanitizer": 75.0,
}
# What is not timed and so may have company.
BESIDE = ("prepare", "compile")
MINUTES = 20.0
# A dry run measures nothing, so it need not be quick: the machine may be busy with other tests.
_DRY_PATIENCE = 4.0
_ON_ADAPTERS = {"decode", "profile", "mixed", "many", "cold", "int8", "same", "train"}
_ON_HARDWARE = {"products", "decode", "profile", "mixed", "cold"}
_LIBRARIES = (
    "torch",
    "triton",
    "transformers",
    "peft",
    "accelerate",
    "bitsandbytes",
    "grpc",
    "grpc_status",
    "grpc_health",
    "grpc_reflection",
    "google.rpc",
    "prometheus_client",
    "typer",
    "rich",
    "matplotlib",
    "pytest",
    "hypothesis",
    "trl",
    "datasets",
)
# With fewer cores, a part that is imported would slow down the one that measures.
_CORES_TO_START_AHEAD = 8
# What adapters and the checkpoint of 8 B in 16 bits take, and room beside it.
_SCRATCH_BYTES = 40 << 30
_SHARED_MEMORY = Path("/dev/shm")
_ROOT = Path(__file__).resolve().parents[3]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is asked for and prints the summary; returns 1 if a part did not end well."""
    given = _parser().parse_args(arguments)
    card = _card()
    if card is None and not given.dry:
        print(
            "no NVIDIA GPU here (its driver tells of none); --dry shows that the stand runs", file=sys.stderr
        )
        return 2
    # Told to end, it ends its parts too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun = time.monotonic()
    missing = [name for name in _LIBRARIES if not _is_installed(name)]
    if missing:
        print(f"not installed, so what needs them fails: {', '.join(missing)}", file=sys.stderr, flush=True)
    asked = [*given.parts, *(["profile"] if given.profile else [])]
    results = _results(card, given.dry)
    scratch = Path(tempfile.mkdtemp(prefix="parfocal-gpu-", dir=_scratch_parent()))
    try:
        place = _Place(scratch, results, given.dry)
        outcomes = _outcomes(_chosen(asked), place, begun + 60 * given.minutes)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    summary = {
        "card": card,
        "is_dry": given.dry,
        "seconds": round(time.monotonic() - begun, 1),
        "results": str(results),
        "missing_libraries": missing,
        "parts": {name: outcome.document() for name, outcome in outcomes.items()},
    }
    write_json(results / "summary.json", summary)
    print(json.dumps(summary, indent=2, default=str))
    return 0 if all(outcome.status == "ok" for outcome in outcomes.values()) else 1


class _Place:
    """Where parts find and leave things, as their command is told."""

    def __init__(self, scratch: Path, results: Path, is_dry: bool) -> None:
        self.results = results
        self._patience = _DRY_PATIENCE if is_dry else 1.0
        self._told = [str(scratch), str(results), *(["--dry"] if is_dry else [])]

    def part(self, name: str) -> Part:
        """Returns the part with its limit and command."""
        command = [sys.executable, "-m", "bench.gpu_stand.work", name, *self._told]
        return Part(name, self._patience * LIMITS_S[name], command)


def _outcomes(names: Sequence[str], place: _Place, until: float) -> dict[str, Outcome]:
    """Adapters are made and kernels compiled while the tests run: none of it is timed."""
    ahead = 1 if (os.cpu_count() or 1) >= _CORES_TO_START_AHEAD else 0
    first = [place.part(name) for name in names if name == "tests"]
    rest = [place.part(name) for name in names if name not in ("tests", *BESIDE)]
    turns = [Turn(place.part(name), place.results) for name in BESIDE if name in names]
    outcomes: dict[str, Outcome] = {}
    try:
        for turn in turns:
            turn.begin()
        outcomes |= take_turns(first, place.results, until, ahead)
        for turn in turns:
            outcomes[turn.part.name] = turn.end(until - time.monotonic())
    finally:
        for turn in turns:
            turn.stop()
    return outcomes | take_turns(rest, place.results, until, ahead)


def _chosen(asked: Sequence[str]) -> list[str]:
    """Returns the parts in the order of their turns, with those that they rest on."""
    wanted = set(asked or LIMITS_S)
    wanted |= {"prepare"} if wanted & _ON_ADAPTERS else set()
    wanted |= {"hardware"} if wanted & _ON_HARDWARE else set()
    return [name for name in LIMITS_S if name in wanted]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpu.py", description="Measures Parfocal on a GPU.")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", type=_part, help=f"default: all of {', '.join(LIMITS_S)}"
    )
    parser.add_argument("--dry", action="store_true", help="tiny sizes, on the CPU: shows that parts run")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help="the most that all parts take together"
    )
    parser.add_argument(
        "--profile", action="store_true", help="only the part `profile`, beside those that are named"
    )
    return parser


def _part(name: str) -> str:
    if name not in LIMITS_S:
        raise argparse.ArgumentTypeError(f"there is no part {name!r}; there are {', '.join(LIMITS_S)}")
    return name


def _card() -> str | None:
    """Returns the GPU's name, as its driver tells it."""
    if shutil.which("nvidia-smi") is not None:
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False)
        return next(iter(said.stdout.splitlines()), None) if said.returncode == 0 else None
    for path in Path("/proc/driver/nvidia/gpus").glob("*/information"):
        return path.read_text().partition("Model:")[2].partition("\n")[0].strip()
    return None


def _results(card: str | None, is_dry: bool) -> Path:
    """Returns the folder for JSON and pictures: BENCH_RESULTS, or one named after card and day."""
    stated = os.environ.get("BENCH_RESULTS")
    if stated is None and is_dry:
        return Path(tempfile.mkdtemp(prefix="parfocal-dry-"))
    name = "-".join([*(card or "").split(), str(date.today())])
    folder = Path(stated) if stated else _ROOT / "tests" / "bench" / "results" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _scratch_parent() -> str | None:
    """Returns where adapters and checkpoint lie meanwhile: BENCH_SCRATCH, or memory where there is enough."""
    stated = os.environ.get("BENCH_SCRATCH")
    if stated is not None:
        return stated
    roomy = _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free > _SCRATCH_BYTES
    return str(_SHARED_MEMORY) if roomy else None


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
