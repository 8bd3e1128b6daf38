"""A decode step by rows and by distinct adapters: its time and bytes, beside what the card allows."""

import contextlib
from collections.abc import Mapping

from bench.gpu_stand.device_base import random_bases
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting
from bench.pictures import draw_found
from parfocal.bench.limits.machine import load_average, machine, versions
from parfocal.bench.profiles.growth import BASE, DISTINCT, ONE, Point, Visits, growth_visits, measure_growth
from parfocal.bench.profiles.growth_profile import GrowthProfile
from parfocal.bench.profiles.step_bench import StepBench
from parfocal.engine.loading import load_base

# Rows whose prompts are cached but for their last block compute those tokens in one step.
_BATCH_TOKENS = 2048


def measure(setting: Setting, notes: Notes) -> None:
    """Runs steps of every kind in turn."""
    load, rows = load_average(), setting.scale.rows
    visits = growth_visits(setting.scale.mixed, rows, max(rows))
    hardware, _ = setting.hardware()
    bench = open_bench(setting, visits, notes)
    with contextlib.closing(bench):
        notes.begin("Loading the adapters")
        bench.load_adapters()
        found = measure_growth(bench, visits, notes)
    facts = machine(bench.base.info.device, load)
    profile = GrowthProfile(visits, bench.stored, found, hardware, facts, versions())
    notes.put(profile=profile.document())
    notes.sum_up(
        context_tokens=visits.workload.prompt_tokens,
        steps=[_row(profile, point) for point in visits.points()],
        one_adapter_over_base=_ratios(visits, found, ONE),
        distinct_adapters_over_base=_ratios(visits, found, DISTINCT),
    )
    draw_found(profile, notes.picture())


def open_bench(setting: Setting, visits: Visits, notes: Notes, **changes: object) -> StepBench:
    """Returns the engine with its adapters, not yet loaded, and room for all prompts of the visits."""
    workload = visits.workload
    notes.begin(f"Making a random {workload.shape}")
    kv_bytes = setting.kv_bytes(workload, visits.kept + workload.batch)
    config = setting.engine(workload, kv_cache_bytes=kv_bytes, max_batch_tokens=_BATCH_TOKENS, **changes)
    with random_bases():
        base = load_base(setting.base, config)
    return StepBench(workload, base, list(setting.adapters(workload.adapters).values()), config)


def _row(profile: GrowthProfile, point: Point) -> dict[str, float]:
    need, seconds = profile.need(point), profile.found[point]
    least = need.seconds(profile.hardware)
    return {
        "rows": point.rows,
        "adapters": point.adapters,
        "ms": 1000 * seconds,
        "bytes": need.bytes.total,
        "roofline_ms": 1000 * least,
        "over_roofline": seconds / least,
    }


def _ratios(visits: Visits, found: Mapping[Point, float], kind: str) -> dict[int, float]:
    """Returns by rows what a kind of step takes, as a multiple of the base's."""
    pairs = zip(visits.by_rows[kind], visits.by_rows[BASE], strict=True)
    return {point.rows: found[point] / found[plain] for point, plain in pairs}
