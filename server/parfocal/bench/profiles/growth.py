"""Measures how a decode step's time grows with rows and with distinct adapters, each kind in turn."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from parfocal.bench.load import Stages, round_numbers
from parfocal.bench.profiles.step_bench import Batch, Step, StepBench
from parfocal.bench.workloads import WARMUP_ROUND, Workload

BASE, ONE, DISTINCT = "no adapter", "one adapter", "each its own adapter"
_ROWS = (1, 2, 4, 8, 16, 32, 64)
_MIXED_ROWS = 16
_STEPS = 6


@dataclass(frozen=True, slots=True)
class Point:
    """One kind of step: so many rows, on so many distinct adapters in turn; 0 is the base."""

    rows: int
    adapters: int

    def row_adapters(self) -> list[int | None]:
        """Each row's adapter."""
        return [row % self.adapters if self.adapters else None for row in range(self.rows)]

    def numbers(self) -> list[int]:
        """The number of each row's adapter; none where there are none."""
        return [number for number in self.row_adapters() if number is not None]


@dataclass(frozen=True, slots=True)
class Visits:
    """What is visited in each round: lines of points by rows, and one line by distinct adapters."""

    workload: Workload
    by_rows: Mapping[str, Sequence[Point]]
    by_adapters: Sequence[Point]

    def points(self) -> list[Point]:
        """Every kind of step once."""
        lines = [*self.by_rows.values(), self.by_adapters]
        return list(dict.fromkeys(point for line in lines for point in line))

    @property
    def kept(self) -> int:
        """How many prompts stay in the cache, so that only a step's own work is done again."""
        return len({(row, adapter) for p in self.points() for row, adapter in enumerate(p.row_adapters())})


def growth_visits(workload: Workload, rows: Sequence[int] = _ROWS, mixed_rows: int = _MIXED_ROWS) -> Visits:
    """The visits of so many rows, and of `mixed_rows` with ever more distinct adapters."""
    most = max(rows)
    distinct = [count for count in (0, *rows) if count <= mixed_rows]
    return Visits(
        workload=replace(
            workload,
            requests=most,
            adapters=most,
            slots=most,
            max_requests=most,
            new_tokens=_STEPS + 1,
            zipf=None,
            sweep=(),
        ),
        by_rows={
            BASE: [Point(count, 0) for count in rows],
            ONE: [Point(count, 1) for count in rows],
            DISTINCT: [Point(count, count) for count in rows],
        },
        by_adapters=[Point(mixed_rows, count) for count in distinct],
    )


def measure_growth(bench: StepBench, visits: Visits, stages: Stages) -> dict[Point, float]:
    """The median seconds of a step of each kind. Prompts are the same in every round, and cached."""
    taken: dict[Point, list[float]] = {point: [] for point in visits.points()}
    for number in round_numbers(visits.workload):
        is_timed = number < WARMUP_ROUND
        stages.begin(f"Running {'timed' if is_timed else 'warm-up'} steps of every kind")
        for place, (point, times) in enumerate(taken.items()):
            steps = bench.run(Batch(point.row_adapters(), _STEPS + 1))
            if is_timed:
                times += [step.seconds for step in steps if _is_whole(step, point)]
            stages.within((place + 1) / len(taken))
        stages.done()
    return {point: statistics.median(times) for point, times in taken.items()}


def _is_whole(step: Step, point: Point) -> bool:
    """Whether every row computed one token: no prompts, and none has ended before the others."""
    return step.prompt_tokens == 0 and step.tokens == point.rows
