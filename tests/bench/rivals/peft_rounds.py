"""Gives a workload to PEFT, in each type of numbers that it may be fastest in."""

import gc
from typing import TYPE_CHECKING

from parfocal.bench.load.stages import Stages
from parfocal.bench.load.under_load import round_title
from parfocal.bench.others import Ground
from parfocal.bench.workloads.calls import calls_of_round
from parfocal.bench.workloads.workload import WARMUP_ROUND, Workload

if TYPE_CHECKING:
    from bench.rivals.peft_batch import PeftBatch

# PEFT is measured in each of these and in the server's own type; the fastest one counts.
_DTYPES = ("float32", "bfloat16")
# Its first forward repacks the base; later ones keep nothing, so a few tokens warm it as well as many.
_WARMUP = 4
# A type whose first round falls this far behind the fastest gets no more rounds: they take minutes.
_CLEARLY_SLOWER = 0.8


class PeftRival:
    """PEFT's mixed batch, in each type of numbers that it may be fastest in."""

    def stages(self, workload: Workload) -> int:
        """Returns how many parts `speeds` tells of, at most."""
        return (len(_DTYPES) + 1) * (1 + min(workload.warmup, 1) + workload.repeats)

    def speeds(self, workload: Workload, ground: Ground, stages: Stages) -> dict[str, tuple[float, ...]]:
        """Returns PEFT's tokens per second in each type, round by round. Raises AnswerWrong."""
        # PEFT takes longer to import than a server takes to answer; only who wants it waits for it.
        from bench.rivals.peft_batch import peft_batch

        adapters = ground.adapters()
        speeds = dict[str, tuple[float, ...]]()
        for dtype in dict.fromkeys((*_DTYPES, ground.dtype)):
            stages.begin(f"Loading PEFT with {workload.adapters} adapters in {dtype}")
            batch = peft_batch(ground.base, adapters, dtype, ground.device)
            stages.done()
            fastest = max((taken[0] for taken in speeds.values()), default=0.0)
            speeds[dtype] = _speeds(batch, f"PEFT in {dtype}", workload, fastest, stages)
            del batch
            gc.collect()
        return speeds


def _speeds(
    batch: "PeftBatch", name: str, workload: Workload, fastest: float, stages: Stages
) -> tuple[float, ...]:
    """Returns the tokens per second of each round; of the first alone where that is clearly slower."""
    if workload.warmup:
        stages.begin(f"{name}: warm-up")
        batch.seconds(calls_of_round(workload, WARMUP_ROUND, False), min(_WARMUP, workload.new_tokens))
        stages.done()
    taken: list[float] = []
    for number in range(workload.repeats):
        if taken and taken[0] < _CLEARLY_SLOWER * fastest:
            break
        stages.begin(round_title(name, workload, number, "adapters"))
        seconds = batch.seconds(calls_of_round(workload, number, False), workload.new_tokens)
        taken.append(workload.generated_tokens / seconds)
        stages.done()
    return tuple(taken)
