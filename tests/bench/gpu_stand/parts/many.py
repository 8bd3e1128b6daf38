"""Many more adapters than slots, in open loop at half of saturation, against the same with all resident.

Both engines are in this process, on one base, and take turns with the same requests. An adapter's identity
decides where it lies, not its numbers: several names share the files of one adapter, each with a copy of its
own in host memory and on the device.
"""

from dataclasses import replace

from bench.gpu_stand.device_base import random_bases
from bench.gpu_stand.engine_target import EngineTarget
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.pictures import draw_first_tokens
from bench.gpu_stand.setting import Setting
from parfocal.bench.load.figures import Figures, figures_of
from parfocal.bench.load.rounds import Round
from parfocal.bench.reports.document import figures_document
from parfocal.bench.workloads.calls import adapters_of_round, calls_of_round
from parfocal.bench.workloads.shapes import shape_named
from parfocal.bench.workloads.workload import WARMUP_ROUND, Workload
from parfocal.engine.loading import load_base

_SATURATION = 900
# Layouts and scales come on top of an adapter's numbers.
_HOST_MARGIN = 1.1


def measure(setting: Setting, notes: Notes) -> None:
    """Finds the saturation of the engine with few slots, then sends both half of that."""
    many = setting.scale.many
    workload = replace(many, rate_share=None, max_requests=many.batch)
    targets = _targets(setting, workload, notes)
    few, resident = targets
    rounds = range(workload.repeats)
    names = workload.adapter_names()
    named = [names[at] for n in (WARMUP_ROUND, _SATURATION, *rounds) for at in adapters_of_round(workload, n)]
    try:
        for name, target in targets.items():
            notes.begin(f"{name}: loading the {len(set(named))} adapters that are asked for")
            target.bring_in(named)
        rate = _rate(setting, targets[few], workload, notes)
        taken = _in_turn(targets, replace(workload, rate=rate), notes)
    finally:
        for target in targets.values():
            target.close()
    figures = {name: figures_of(done) for name, done in taken.items()}
    notes.put(**{name: figures_document(each) for name, each in figures.items()})
    notes.sum_up(
        adapters_asked_for=len(set(named)),
        requests_per_second=rate,
        ttft_ms={name: _milliseconds(each) for name, each in figures.items()},
        ttft_ratio={
            each: getattr(figures[few].ttft, each) / getattr(figures[resident].ttft, each)
            for each in ("p50", "p99")
        },
    )
    title = f"{workload.adapters} adapters, Zipf {workload.zipf}, {rate:.3g} requests/s"
    draw_first_tokens(figures, title, notes.picture())


def _targets(setting: Setting, workload: Workload, notes: Notes) -> dict[str, EngineTarget]:
    """Returns an engine with few slots and host memory for all adapters, and one with a slot for each."""
    notes.begin(f"Making a random {workload.shape}")
    each = shape_named(workload.shape).adapter_parameters(workload.rank) * setting.scale.kv_width
    config = setting.engine(workload, host_cache_bytes=int(_HOST_MARGIN * workload.adapters * each))
    with random_bases():
        base = load_base(setting.base, config)
    files = list(setting.adapters().values())
    folders = {name: files[at % len(files)] for at, name in enumerate(workload.adapter_names())}
    all_slots = setting.engine(workload, slots=workload.adapters)
    return {
        f"{workload.server_slots} slots": EngineTarget(base, config, folders),
        "all resident": EngineTarget(base, all_slots, folders),
    }


def _rate(setting: Setting, target: EngineTarget, workload: Workload, notes: Notes) -> float:
    """Returns the requests per second of the open loop: a share of what is answered when all come at once."""
    notes.begin("Finding the saturation")
    for number in (WARMUP_ROUND, _SATURATION):
        done = target.run_round(calls_of_round(workload, number, base_only=False), workload.new_tokens)
    saturation, share = workload.requests / done.seconds, setting.scale.many.rate_share
    assert share is not None
    notes.sum_up(saturation_requests_per_second=saturation, share=share)
    return saturation * share


def _in_turn(targets: dict[str, EngineTarget], workload: Workload, notes: Notes) -> dict[str, list[Round]]:
    taken: dict[str, list[Round]] = {name: [] for name in targets}
    for number in range(workload.repeats):
        calls = calls_of_round(workload, number, base_only=False)
        for name, target in targets.items():
            notes.begin(f"{name}: {workload.requests} requests at their times")
            taken[name].append(target.run_round(calls, workload.new_tokens))
    return taken


def _milliseconds(figures: Figures) -> dict[str, float]:
    return {name: 1000 * getattr(figures.ttft, name) for name in ("p50", "p90", "p99")}
