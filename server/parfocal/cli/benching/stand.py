"""The measuring stand: serves a workload, then gives it to other servers and to PEFT, one after another."""

import gc
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry import FolderRegistry

from .calls import Call, calls_of_round, ranks_of_batch
from .client import model_at, run_round
from .endpoint import Endpoint, EndpointTarget
from .figures import Figures
from .limit import StepBytes, copy_bandwidth, step_bytes
from .machine import load_average, machine, versions
from .published import publish_adapters
from .random_base import cached_base
from .rounds import Round
from .server_process import server_process
from .stages import Stages
from .under_load import OWN_NAME, Load, put_under_load, round_title, rounds_of_load, swept
from .workload import WARMUP_ROUND, Workload

_MIN_KV_CACHE_BYTES = 1 << 30
_MIN_WAITING = 1024
# PEFT is measured in each of these and in the server's own type; the fastest one counts.
_PEFT_DTYPES = ("float32", "bfloat16")
# Its first forward repacks the base; later ones keep nothing, so a few tokens warm it as well as many.
_PEFT_WARMUP = 4
# A type whose first round falls this far behind the fastest gets no more rounds: they take minutes.
_CLEARLY_SLOWER = 0.8


@dataclass(frozen=True, slots=True)
class Setup:
    """What a bench is to do. `device` is the server's setting; `cache` keeps random bases between benches.

    PEFT answers all requests in one batch, so it is left out where they arrive one by one.
    """

    workload: Workload
    device: str
    cache: Path
    with_peft: bool
    endpoints: tuple[Endpoint, ...] = ()

    @property
    def measures_peft(self) -> bool:
        """Returns whether PEFT is asked for and can do the same work."""
        return self.with_peft and self.workload.rate is None

    def check(self) -> None:
        """Raises BenchError for what cannot be run, before anything takes time."""
        self.workload.check()
        for endpoint in self.endpoints:
            endpoint.check(self.workload)


@dataclass(frozen=True, slots=True)
class Served:
    """What the server gave: `mixed` rounds with adapters, `base_only` rounds without any, and the sweep's."""

    mixed: Figures
    base_only: Figures
    sweep: Mapping[int, Figures]
    dtype: str
    device: str


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that was measured in one run. `peft` holds each type's tokens per second, round by round.

    `endpoints` holds what each other server gave, by name, and `urls` where it listened. `sweep_bytes` is
    what a step reads for each number of adapters in the sweep.
    """

    workload: Workload
    served: Served
    peft: Mapping[str, tuple[float, ...]]
    mixed_bytes: StepBytes
    base_only_bytes: StepBytes
    sweep_bytes: Mapping[int, StepBytes]
    copy_bytes_per_second: float
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    endpoints: Mapping[str, Load]
    urls: Mapping[str, str]


def stages_of(setup: Setup) -> int:
    """Returns how many parts `measure` tells of, at most."""
    loads = (1 + len(setup.endpoints)) * rounds_of_load(setup.workload)
    warm = min(setup.workload.warmup, 1)
    peft = (len(_PEFT_DTYPES) + 1) * (1 + warm + setup.workload.repeats) if setup.measures_peft else 0
    return 3 + setup.workload.adapters + loads + peft


def measure(setup: Setup, stages: Stages) -> Bench:
    """Runs the whole bench. Raises BenchError, RemoteError or RegistryError; there are no figures then."""
    workload, load = setup.workload, load_average()
    setup.check()
    with tempfile.TemporaryDirectory(prefix="parfocal-bench-") as name:
        scratch = Path(name)
        stages.begin(f"Writing a random {workload.shape}")
        base = cached_base(workload.sizes(), setup.cache)
        stages.done()
        stages.begin(f"Publishing {workload.adapters} random adapters")
        registry = FolderRegistry(scratch / "registry")
        folders = publish_adapters(workload, base, registry, scratch, stages.done)
        served = _serve(setup, base, scratch, stages)
        stages.begin("Measuring the memory's bandwidth")
        bandwidth = copy_bandwidth(served.device)
        stages.done()
        endpoints = {
            endpoint.name: put_under_load(
                EndpointTarget(endpoint, workload.adapter_names()), workload, stages
            )
            for endpoint in setup.endpoints
        }
        peft = _peft(setup, base, folders, served, stages) if setup.measures_peft else {}
    return Bench(
        workload=workload,
        served=served,
        peft=peft,
        mixed_bytes=step_bytes(workload, served.dtype, ranks_of_batch(workload)),
        base_only_bytes=step_bytes(workload, served.dtype, ()),
        sweep_bytes={
            count: step_bytes(workload, served.dtype, ranks_of_batch(swept(workload, count)))
            for count in workload.sweep
        },
        copy_bytes_per_second=bandwidth,
        machine=machine(served.device, load),
        versions=versions(),
        endpoints=endpoints,
        urls={endpoint.name: endpoint.url for endpoint in setup.endpoints},
    )


@dataclass(frozen=True, slots=True)
class _OwnServer:
    """Our server under load."""

    address: str
    name: str = OWN_NAME
    answers_base: bool = True

    def run_round(self, calls: Sequence[Call], new_tokens: int) -> Round:
        return run_round(self.address, calls, new_tokens)


def _serve(setup: Setup, base: Path, scratch: Path, stages: Stages) -> Served:
    stages.begin(f"Starting the server on {setup.workload.shape}")
    settings = _server_settings(setup, base, scratch / "registry")
    with server_process(settings, scratch / "server.log") as address:
        model = model_at(address)
        stages.done()
        load = put_under_load(_OwnServer(address), setup.workload, stages)
        stages.begin("Stopping the server")
    assert load.base_only is not None  # our server answers for the base
    return Served(load.mixed, load.base_only, load.sweep, model.dtype, model.device)


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
            stages.begin(round_title(f"PEFT in {dtype}", workload, number, "adapters"))
            seconds = batch.seconds(calls_of_round(workload, number, False), workload.new_tokens)
            taken.append(workload.generated_tokens / seconds)
            stages.done()
        speeds[dtype] = tuple(taken)
        del batch
        gc.collect()
    return speeds


def _server_settings(setup: Setup, base: Path, registry: Path) -> dict[str, str]:
    """Room in the KV cache for a whole batch, twice: no request is ever computed again."""
    workload = setup.workload
    context = workload.prompt_tokens + workload.new_tokens
    kv_bytes = 2 * workload.batch * context * workload.sizes().kv_values() * 4
    return {
        "base": str(base),
        "registry": str(registry),
        "grpc_address": "127.0.0.1:0",
        "metrics_address": "",
        "device": setup.device,
        "dtype": workload.dtype,
        "slots": str(workload.server_slots),
        "max_requests": str(workload.batch),
        "max_waiting": str(max(_MIN_WAITING, workload.requests)),
        "kv_cache_bytes": str(max(_MIN_KV_CACHE_BYTES, kv_bytes)),
    }
