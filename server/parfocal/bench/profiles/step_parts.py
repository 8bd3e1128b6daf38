"""Measures where the time of steps goes: decode steps, the base's alone, and steps of prompts."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parfocal.bench.load import Stages, round_numbers
from parfocal.bench.profiles.step_bench import Batch, Step, StepBench
from parfocal.bench.workloads import WARMUP_ROUND, Workload, adapters_of_batch
from parfocal.engine.model import StepProfile

DECODE, BASE_DECODE, PROMPTS = "decode step", "decode step, base only", "prompt step"
OTHER = "other"


@dataclass(frozen=True, slots=True)
class StepTime:
    """Medians over steps of one kind: `seconds` without a clock, `clocked_seconds` with one, and `parts`.

    `parts` is what the clock saw; `other` is the rest of the clocked time: Python between the parts.
    """

    steps: int
    tokens: int
    seconds: float
    clocked_seconds: float
    parts: Mapping[str, float]

    @property
    def other(self) -> float:
        """The time that belongs to no part."""
        return max(0.0, self.clocked_seconds - sum(self.parts.values()))

    @property
    def all_parts(self) -> dict[str, float]:
        """Every part, and the rest; they add up to the clocked time."""
        return {**self.parts, OTHER: self.other}


def measure_steps(
    bench: StepBench, workload: Workload, stages: Stages, clock: StepProfile | None = None
) -> dict[str, StepTime]:
    """Runs batches with and without a clock in turn; returns each kind of step's time."""
    clock = clock or bench.base.backend.profile(bench.base)
    plain: dict[str, list[Step]] = {DECODE: [], BASE_DECODE: [], PROMPTS: []}
    clocked: dict[str, list[Step]] = {name: [] for name in plain}
    for number in round_numbers(workload):
        is_timed = number < WARMUP_ROUND
        stages.begin(f"Running {'timed' if is_timed else 'warm-up'} batches")
        _visit(bench, workload, 4 * number, None, plain if is_timed else {})
        with clock.watching():
            _visit(bench, workload, 4 * number + 2, clock, clocked if is_timed else {})
        stages.done()
    return {name: step_time(plain[name], clocked[name], clock.parts) for name in plain if plain[name]}


def step_time(plain: Sequence[Step], clocked: Sequence[Step], parts: Sequence[str]) -> StepTime:
    """The medians of steps of one kind; `parts` are those that the clock tells."""
    return StepTime(
        steps=len(plain),
        tokens=round(statistics.median(step.tokens for step in plain)),
        seconds=statistics.median(step.seconds for step in plain),
        clocked_seconds=statistics.median(step.seconds for step in clocked),
        parts={part: statistics.median(step.parts.get(part, 0.0) for step in clocked) for part in parts},
    )


def _visit(
    bench: StepBench, workload: Workload, number: int, clock: StepProfile | None, taken: dict[str, list[Step]]
) -> None:
    """Runs a batch with adapters and one without, on prompts of their own."""
    batch = workload.batch
    mixed = bench.run(Batch(adapters_of_batch(workload), workload.new_tokens, number), clock)
    base = bench.run(Batch([None] * batch, workload.new_tokens, number + 1), clock)
    if taken:
        taken[DECODE] += [step for step in mixed if _is_decode(step, batch)]
        taken[BASE_DECODE] += [step for step in base if _is_decode(step, batch)]
        prompts = [step for step in mixed if step.tokens == step.prompt_tokens]
        # Steps of other sizes are the rest of the prompts; they have no median.
        most = max((step.tokens for step in prompts), default=0)
        taken[PROMPTS] += [step for step in prompts if step.tokens == most]


def _is_decode(step: Step, rows: int) -> bool:
    return step.prompt_tokens == 0 and step.tokens == rows
