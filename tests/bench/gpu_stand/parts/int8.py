"""Adapters in 8 bits against bfloat16: what a step takes, and how far the log-probabilities move."""

import contextlib
import gc
from dataclasses import replace

from bench.gpu_stand.notes import Notes
from bench.gpu_stand.parts.decode import open_bench
from bench.gpu_stand.setting import Setting
from fakes.engine.folder_source import FolderSource
from oracle.logprobs import LogProbs, first_tokens
from parfocal.bench.profiles.growth import growth_visits, measure_growth
from parfocal.bench.workloads.shapes import shape_named
from parfocal.engine import EngineMisconfigured
from parfocal.engine.loading import build_engine

_DTYPES = ("bfloat16", "int8")
_ASKED = 4


def measure(setting: Setting, notes: Notes) -> None:
    """Measures both types, one after the other."""
    found: dict[str, tuple[dict[str, float], LogProbs]] = {}
    for dtype in _DTYPES:
        notes.begin(f"Adapters in {dtype}")
        gc.collect()  # an engine and its parts hold each other, and two do not fit
        try:
            found[dtype] = _measured(setting, dtype, notes)
        except EngineMisconfigured as refusal:
            notes.sum_up(refused={dtype: str(refusal)})
            return
        notes.sum_up(**{dtype: found[dtype][0]})
    (usual, exact), (small, rounded) = (found[dtype] for dtype in _DTYPES)
    notes.sum_up(
        time_ratio={kind: small[kind] / usual[kind] for kind in usual}, **_difference(exact, rounded)
    )


def _measured(setting: Setting, dtype: str, notes: Notes) -> tuple[dict[str, float], LogProbs]:
    """Returns the milliseconds of each kind of step, and log-probabilities after a few prompts."""
    rows = max(setting.scale.rows)
    visits = growth_visits(replace(setting.scale.mixed, adapter_dtype=dtype), (rows,), rows)
    bench = open_bench(setting, visits, notes)
    with contextlib.closing(bench):
        bench.load_adapters()
        found = measure_growth(bench, visits, notes)
    times = {f"{point.adapters} adapters": 1000 * seconds for point, seconds in found.items()}
    names = list(setting.adapters(_ASKED))
    config = setting.engine(replace(visits.workload, adapters=_ASKED, slots=_ASKED))
    engine = build_engine(bench.base, config, FolderSource(setting.adapters(_ASKED)))
    with contextlib.closing(engine):
        logprobs = first_tokens(engine, ["", *names], shape_named(setting.scale.shape).vocabulary)
    return times, logprobs


def _difference(exact: LogProbs, rounded: LogProbs) -> dict[str, float | None]:
    """Returns the largest difference of tokens that both find likely, and how often the likeliest agrees."""
    pairs = list(zip(exact, rounded, strict=True))
    differences = [abs(right[token] - row[token]) for right, row in pairs for token in right if token in row]
    agreed = [max(right, key=right.__getitem__) == max(row, key=row.__getitem__) for right, row in pairs]
    return {
        "largest_logprob_difference": max(differences, default=None),
        "same_likeliest_token": sum(agreed) / len(agreed),
    }
