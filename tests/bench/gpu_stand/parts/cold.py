"""A cold adapter from host memory: when it is ready, against its bytes over the bus."""

import statistics
import time
from dataclasses import dataclass, field, replace

from bench.gpu_stand.device_base import random_bases
from bench.gpu_stand.engine_target import EngineTarget
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting
from parfocal.engine import AdapterReport, SilentObserver
from parfocal.engine.loading import load_base

_SLOTS = 2


@dataclass(frozen=True, slots=True)
class _Load:
    """One load: from the request's lookup to the slot's being ready, the copy alone, and its bytes."""

    ready_seconds: float
    copy_seconds: float
    size_bytes: int


@dataclass
class _Loads(SilentObserver):
    """Takes the time of loads that read nothing: all of them find their adapter in host memory."""

    loads: list[_Load] = field(default_factory=list)
    missed: dict[str, float] = field(default_factory=dict)

    def adapter(self, report: AdapterReport) -> None:
        """Notes when an adapter is missed, and when it is ready."""
        if report.event == "miss":
            self.missed[report.adapter.digest] = time.perf_counter()
        elif report.event == "loaded" and report.seconds.keys() == {"copy"}:
            ready = time.perf_counter() - self.missed[report.adapter.digest]
            self.loads.append(_Load(ready, report.seconds["copy"], report.size_bytes))


def measure(setting: Setting, notes: Notes) -> None:
    """Asks for more adapters than there are slots, one after the other, when nothing else runs."""
    scale, (_, bus) = setting.scale, setting.hardware()
    adapters = setting.adapters(scale.cold_adapters)
    workload = replace(scale.mixed, adapters=scale.cold_adapters, slots=_SLOTS, requests=_SLOTS)
    config = setting.engine(workload, host_cache_bytes=1 << 32)
    notes.begin(f"Making a random {workload.shape}")
    with random_bases():
        base = load_base(setting.base, config)
    observer = _Loads()
    target = EngineTarget(base, config, adapters, observer)
    names = list(adapters)
    try:
        notes.begin("Loading adapters from host memory")
        target.bring_in(names)
        for number in range(scale.cold_loads):
            target.bring_in([names[number % len(names)]])
    finally:
        target.close()
    _sum_up(observer.loads, bus["host_to_device_bytes_per_second"], notes)


def _sum_up(loads: list[_Load], bytes_per_second: float, notes: Notes) -> None:
    size = loads[0].size_bytes
    least = size / bytes_per_second
    ready = statistics.median(load.ready_seconds for load in loads)
    copy = statistics.median(load.copy_seconds for load in loads)
    notes.sum_up(
        loads=len(loads),
        adapter_bytes=size,
        bus_ms=1000 * least,
        copy_ms=1000 * copy,
        ready_ms=1000 * ready,
        copy_over_bus=copy / least,
        ready_over_bus=ready / least,
    )
