"""Finds how many requests per second a server just manages, and the rate that is a share of it."""

from dataclasses import dataclass, replace

from parfocal.bench.load.stages import Stages
from parfocal.bench.load.under_load import Target, round_title
from parfocal.bench.workloads import WARMUP_ROUND, Workload, calls_of_round

# Keeps the prompts of these rounds apart from those of every other.
_ROUND = 20_000_000_000
_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Saturation:
    """`requests_per_second` were answered when all came at once; load comes at `share` of that."""

    requests_per_second: float
    share: float

    @property
    def rate(self) -> float:
        """The requests per second of the open loop."""
        return self.requests_per_second * self.share


def saturation_stages(workload: Workload) -> int:
    """How many stages `find_saturation` reports."""
    return _ROUNDS + min(workload.warmup, 1) if workload.rate_share else 0


def find_saturation(target: Target, workload: Workload, stages: Stages) -> Saturation | None:
    """Sends the workload's requests all at once and counts; None where the rate is no share."""
    if workload.rate_share is None:
        return None
    closed = replace(workload, rate_share=None, max_requests=workload.batch, repeats=_ROUNDS, sweep=())
    speeds = []
    for number in (*([WARMUP_ROUND] if workload.warmup else []), *range(_ROUNDS)):
        stages.begin(round_title(target.name, closed, number, "all at once, to find the saturation"))
        done = target.run_round(calls_of_round(closed, _ROUND + number, base_only=False), closed.new_tokens)
        speeds += [closed.requests / done.seconds] if number < WARMUP_ROUND else []
        stages.done()
    return Saturation(sum(speeds) / len(speeds), workload.rate_share)
