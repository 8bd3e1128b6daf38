"""Gives a workload to PEFT, in each type of numbers that it may be fastest in."""

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parfocal.bench.calls import calls_of_round
from parfocal.bench.stages import Stages
from parfocal.bench.under_load import round_title
from parfocal.bench.workload import WARMUP_ROUND, Workload

# PEFT is measured in each of these and in the server's own type; the fastest one counts.
_DTYPES = ("float32", "bfloat16")
# Its first forward repacks the base; later ones keep nothing, so a few tokens warm it as well as many.
_WARMUP = 4
# A type whose first round falls this far behind the fastest gets no more rounds: they take minutes.
_CLEARLY_SLOWER = 0.8


@dataclass(frozen=True, slots=True)
class PeftPlace:
    """Where PEFT finds base and adapters, and where and in which type our server computed."""

    base: Path
    adapters: Mapping[str, Path]
    device: str
    dtype: str


def peft_stages(workload: Workload) -> int:
    """Returns how many parts `peft_speeds` tells of, at most."""
    return (len(_DTYPES) + 1) * (1 + min(workload.warmup, 1) + workload.repeats)


def peft_speeds(workload: Workload, place: PeftPlace, stages: Stages) -> dict[str, tuple[float, ...]]:
    """Returns PEFT's tokens per second in each type, round by round."""
    # PEFT takes longer to import than the server takes to answer; nobody waits for it who does not want it.
    from parfocal.bench.peft_batch import peft_batch

    speeds = dict[str, tuple[float, ...]]()
    for dtype in dict.fromkeys((*_DTYPES, place.dtype)):
        stages.begin(f"Loading PEFT with {workload.adapters} adapters in {dtype}")
        batch = peft_batch(place.base, place.adapters, dtype, place.device)
        stages.done()
        if workload.warmup:
            stages.begin(f"PEFT in {dtype}: warm-up")
            batch.seconds(calls_of_round(workload, WARMUP_ROUND, False), min(_WARMUP, workload.new_tokens))
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
