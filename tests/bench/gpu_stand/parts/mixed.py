"""Many requests, each on its own adapter: over gRPC, in process without the wire, and in PEFT's mixed batch.

The server is a process of its own, as people run it; all three have a base of the same random weights and
read the same adapters.
"""

import gc
from collections.abc import Callable, Sequence
from dataclasses import asdict

import torch

from bench.gpu_stand import serve
from bench.gpu_stand.device_base import random_bases, random_quantised
from bench.gpu_stand.engine_target import EngineTarget
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.peft_twins import batch_of_twins
from bench.gpu_stand.pictures import draw_speeds
from bench.gpu_stand.setting import Setting
from parfocal.bench.limits.roofline import roofline
from parfocal.bench.limits.stored import stored_types
from parfocal.bench.load.client import model_at, run_round
from parfocal.bench.load.figures import Figures, figures_of
from parfocal.bench.load.rounds import Round
from parfocal.bench.reports.document import figures_document
from parfocal.bench.servers.own_server import ServerPlace
from parfocal.bench.servers.process import server_process
from parfocal.bench.workloads.calls import Call, calls_of_round
from parfocal.bench.workloads.workload import WARMUP_ROUND, Workload
from parfocal.engine.loading import Loading, load_base

WIRE, PROCESS, PEFT = "over gRPC", "in process", "PEFT's mixed batch"
_WARM_TOKENS = 4
_READY_S = 90.0

Run = Callable[[Sequence[Call], int], Round]


def measure(setting: Setting, notes: Notes) -> None:
    """Measures the three, one after the other, and compares them."""
    workload, (hardware, _) = setting.scale.mixed, setting.hardware()
    speeds: dict[str, float] = {}
    for name, run in ((WIRE, _over_grpc), (PROCESS, _in_process)):
        mixed, base = run(setting, notes)
        speeds |= {name: mixed.tokens_per_second, f"{name}, base only": base.tokens_per_second}
        notes.put(**{name: {"mixed": figures_document(mixed), "base_only": figures_document(base)}})
        notes.sum_up(tokens_per_second=speeds)
        gc.collect()
    notes.sum_up(
        grpc_over_in_process=speeds[WIRE] / speeds[PROCESS],
        mixed_over_base_only=speeds[WIRE] / speeds[f"{WIRE}, base only"],
    )
    device, dtype = setting.scale.device, "bfloat16" if setting.scale.kv_width == 2 else "float32"
    limit = roofline(workload, stored_types(workload, dtype, device)).run_limit(hardware)
    notes.sum_up(limit_tokens_per_second=limit, share_of_limit=speeds[WIRE] / limit)
    draw_speeds(speeds, limit, notes.picture())
    found = _through_peft(setting, dtype, notes)
    speeds[PEFT] = workload.generated_tokens / found["whole_seconds"]
    notes.put(peft=found)
    notes.sum_up(
        tokens_per_second=speeds,
        grpc_over_peft=speeds[WIRE] / speeds[PEFT],
        in_process_over_peft=speeds[PROCESS] / speeds[PEFT],
    )
    draw_speeds(speeds, limit, notes.picture())


def _over_grpc(setting: Setting, notes: Notes) -> tuple[Figures, Figures]:
    workload, scale = setting.scale.mixed, setting.scale
    log = setting.results / "server.log"
    config = setting.engine(workload)
    own = {
        # The weights are made at the start; on disk they would only cost time.
        "base_cache": "",
        "kv_cache_bytes": str(config.kv_cache_bytes),
        "load_threads": str(config.load_threads),
        "max_rank": str(config.max_rank),
    }
    place = ServerPlace(setting.base, setting.registry, scale.device, log)
    notes.begin("Starting the server")
    with server_process(place.settings(workload) | own, log, serve.COMMAND, _READY_S) as process:
        model = model_at(process.address)
        notes.put(server={"dtype": model.dtype, "device": model.device, "workload": asdict(workload)})
        return _rounds(workload, lambda calls, tokens: run_round(process.address, calls, tokens), notes, WIRE)


def _in_process(setting: Setting, notes: Notes) -> tuple[Figures, Figures]:
    workload = setting.scale.mixed
    config = setting.engine(workload)
    notes.begin("Making a base in this process")
    with random_bases():
        base = load_base(setting.base, config)
    target = EngineTarget(base, config, setting.adapters())
    try:
        return _rounds(workload, target.run_round, notes, PROCESS)
    finally:
        target.close()


def _rounds(workload: Workload, run: Run, notes: Notes, what: str) -> tuple[Figures, Figures]:
    """Returns the figures with adapters and of the base only. The first round loads the adapters."""
    notes.begin(f"{what}: loading the adapters")
    run(calls_of_round(workload, WARMUP_ROUND, base_only=False), min(_WARM_TOKENS, workload.new_tokens))
    notes.begin(f"{what}: {workload.requests} requests on {workload.adapters} adapters")
    mixed = [run(calls_of_round(workload, n, False), workload.new_tokens) for n in range(workload.repeats)]
    notes.begin(f"{what}: base only")
    base = run(calls_of_round(workload, 0, base_only=True), workload.new_tokens)
    return figures_of(mixed), figures_of([base])


def _through_peft(setting: Setting, dtype: str, notes: Notes) -> dict[str, float]:
    """Returns the seconds of all prompts, of each token after, and of the whole, reckoned from those two."""
    workload, device = setting.scale.mixed, setting.scale.device
    notes.begin(f"PEFT: loading {workload.adapters} adapters")
    loading = Loading(getattr(torch, dtype), torch.device(device), "sdpa", exact=False)
    batch = batch_of_twins(random_quantised(setting.base, loading), setting.adapters(), dtype, device)
    notes.begin("PEFT: generating")
    steps = min(setting.scale.peft_steps, workload.new_tokens - 1)
    batch.seconds(calls_of_round(workload, WARMUP_ROUND, base_only=False), 2)
    calls = calls_of_round(workload, 0, base_only=False)
    prompts = batch.seconds(calls, 1)
    each = max(0.0, batch.seconds(calls, 1 + steps) - prompts) / steps
    return {
        "measured_new_tokens": 1 + steps,
        "prompt_seconds": prompts,
        "token_seconds": each,
        "whole_seconds": prompts + (workload.new_tokens - 1) * each,
    }
