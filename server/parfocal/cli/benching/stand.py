"""The measuring stand: serves a workload, then gives it to PEFT; never both at once."""

import gc
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry import FolderRegistry

from .client import Round, model_at, run_round
from .figures import Figures, figures_of
from .limit import StepBytes, copy_bandwidth, step_bytes
from .machine import load_average, machine, versions
from .published import publish_adapters
from .random_base import cached_base
from .server_process import server_process
from .stages import Stages
from .workload import WARMUP_ROUND, Workload, calls_of_round

_MIN_KV_CACHE_BYTES = 1 << 30
# PEFT is measured in each of these and in the server's own type; the fastest one counts.
_PEFT_DTYPES = ("float32", "bfloat16")
# Its first forward repacks the base; later ones keep nothing, so a few tokens warm it as well as many.
_PEFT_WARMUP = 4
# A type whose first round falls this far behind the fastest gets no more rounds: they take minutes.
_CLEARLY_SLOWER = 0.8


@dataclass(frozen=True, slots=True)
class Setup:
    """What a bench is to do. `device` is the server's setting; `cache` keeps random bases between benches."""

    workload: Workload
    device: str
    cache: Path
    with_peft: bool


@dataclass(frozen=True, slots=True)
class Served:
    """What the server gave: `mixed` rounds with the adapters in turn, `base_only` rounds without any."""

    mixed: Figures
    base_only: Figures
    dtype: str
    device: str


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that was measured in one run. `peft` holds each type's tokens per second, round by round."""

    workload: Workload
    served: Served
    peft: Mapping[str, tuple[float, ...]]
    mixed_bytes: StepBytes
    base_only_bytes: StepBytes
    copy_bytes_per_second: float
    machine: Mapping[str, object]
    versions: Mapping[str, str]


def stages_of(setup: Setup) -> int:
    """Returns how many parts `measure` tells of, at most."""
    rounds = setup.workload.warmup + setup.workload.repeats
    warm = min(setup.workload.warmup, 1)
    peft = (len(_PEFT_DTYPES) + 1) * (1 + warm + setup.workload.repeats) if setup.with_peft else 0
    return 3 + setup.workload.adapters + 2 * rounds + peft


def measure(setup: Setup, stages: Stages) -> Bench:
    """Runs the whole bench. Raises BenchError, RemoteError or RegistryError; there are no figures then."""
    workload, load = setup.workload, load_average()
    workload.check()
    with tempfile.TemporaryDirectory(prefix="parfocal-bench-") as name:
        scratch = Path(name)
        stages.begin(f"Writing a random {workload.shape}")
        base = cached_base(workload.sizes(), setup.cache)
        stages.done()
        stages.begin(f"Publishing {workload.adapters} random adapters of rank {workload.rank}")
        registry = FolderRegistry(scratch / "registry")
        folders = publish_adapters(workload, base, registry, scratch, stages.done)
        served = _serve(setup, base, scratch, stages)
        stages.begin("Measuring the memory's bandwidth")
        bandwidth = copy_bandwidth(served.device)
        stages.done()
        peft = _peft(setup, base, folders, served, stages) if setup.with_peft else {}
    return Bench(
        workload=workload,
        served=served,
        peft=peft,
        mixed_bytes=step_bytes(workload, served.dtype, workload.distinct_adapters),
        base_only_bytes=step_bytes(workload, served.dtype, 0),
        copy_bytes_per_second=bandwidth,
        machine=machine(served.device, load),
        versions=versions(),
    )


def _serve(setup: Setup, base: Path, scratch: Path, stages: Stages) -> Served:
    """Alternates rounds with adapters and rounds without, so that a drifting machine is fair to both."""
    workload = setup.workload
    stages.begin(f"Starting the server on {workload.shape}")
    settings = _server_settings(setup, base, scratch / "registry")
    with server_process(settings, scratch / "server.log") as address:
        model = model_at(address)
        stages.done()
        mixed: list[Round] = []
        base_only: list[Round] = []
        for number in _round_numbers(workload):
            for base_round, kept in ((False, mixed), (True, base_only)):
                stages.begin(
                    _round_title("Serving", workload, number, "no adapter" if base_round else "adapters")
                )
                calls = calls_of_round(workload, number, base_round)
                taken = run_round(address, calls, workload.new_tokens)
                kept.extend([taken] if number < WARMUP_ROUND else [])
                stages.done()
        stages.begin("Stopping the server")
    return Served(figures_of(mixed), figures_of(base_only), model.dtype, model.device)


def _peft(
    setup: Setup, base: Path, folders: Mapping[str, Path], served: Served, stages: Stages
) -> dict[str, tuple[float, ...]]:
    """Returns PEFT's tokens per second in each type; the server has ended by now."""
    # PEFT takes longer to import than the server takes to answer; nobody waits for it who does not want it.
    from .peft_batch import PeftBatch

    workload, speeds = setup.workload, dict[str, tuple[float, ...]]()
    for dtype in dict.fromkeys((*_PEFT_DTYPES, served.dtype)):
        stages.begin(f"Loading PEFT with {workload.adapters} adapters in {dtype}")
        batch = PeftBatch(base, folders, dtype, served.device)
        stages.done()
        if workload.warmup:
            stages.begin(f"PEFT in {dtype}: warm-up")
            batch.seconds(
                calls_of_round(workload, WARMUP_ROUND, False), min(_PEFT_WARMUP, workload.new_tokens)
            )
            stages.done()
        fastest = max((taken[0] for taken in speeds.values()), default=0.0)
        taken: list[float] = []
        for number in range(workload.repeats):
            if taken and taken[0] < _CLEARLY_SLOWER * fastest:
                break
            stages.begin(_round_title(f"PEFT in {dtype}", workload, number, "adapters"))
            seconds = batch.seconds(calls_of_round(workload, number, False), workload.new_tokens)
            taken.append(workload.generated_tokens / seconds)
            stages.done()
        speeds[dtype] = tuple(taken)
        del batch
        gc.collect()
    return speeds


def _round_numbers(workload: Workload) -> Sequence[int]:
    return (*range(WARMUP_ROUND, WARMUP_ROUND + workload.warmup), *range(workload.repeats))


def _round_title(who: str, workload: Workload, number: int, what: str) -> str:
    kind = f"round {number + 1} of {workload.repeats}" if number < WARMUP_ROUND else "warm-up"
    return f"{who}: {kind}, {workload.requests} requests, {what}"


def _server_settings(setup: Setup, base: Path, registry: Path) -> dict[str, str]:
    """Room for the whole workload at once: what is measured is speed, not eviction."""
    workload = setup.workload
    context = workload.prompt_tokens + workload.new_tokens
    kv_bytes = 2 * workload.requests * context * workload.sizes().kv_values() * 4
    return {
        "base": str(base),
        "registry": str(registry),
        "grpc_address": "127.0.0.1:0",
        "metrics_address": "",
        "device": setup.device,
        "dtype": workload.dtype,
        "slots": str(workload.adapters),
        "max_requests": str(workload.requests),
        "kv_cache_bytes": str(max(_MIN_KV_CACHE_BYTES, kv_bytes)),
    }
