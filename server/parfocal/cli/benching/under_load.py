"""Puts one target under a workload's load, round by round. Knows no wire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .calls import Call, calls_of_round
from .figures import Figures, figures_of
from .rounds import Round
from .stages import Stages
from .workload import WARMUP_ROUND, Workload

# What tables, pictures and bars call our own server; no other may have this name.
OWN_NAME = "Parfocal"
# Keeps the prompts of a sweep apart from those of every other round.
_SWEEP_ROUND = 10_000_000


class Target(Protocol):
    """A server that can be given a round of calls."""

    @property
    def name(self) -> str:
        """What tables and pictures call it."""

    @property
    def answers_base(self) -> bool:
        """Whether it can be asked for the base without an adapter."""

    def run_round(self, calls: Sequence[Call], new_tokens: int) -> Round:
        """Sends each call when it arrives and reads all answers. Raises when there is no true figure."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one target gave: with adapters, without any (None: not asked), and by number of adapters."""

    mixed: Figures
    base_only: Figures | None
    sweep: Mapping[int, Figures]


@dataclass(frozen=True, slots=True)
class _Kind:
    """One way to ask. `offset` makes its rounds' numbers its own."""

    title: str
    workload: Workload
    base_only: bool = False
    offset: int = 0


def rounds_of_load(workload: Workload) -> int:
    """Returns how many parts `put_under_load` tells of, at most."""
    return 2 * (workload.warmup + workload.repeats) + workload.repeats * len(workload.sweep)


def round_numbers(workload: Workload) -> Sequence[int]:
    """Returns the numbers of the warm-up's rounds and then of the timed ones."""
    return (*range(WARMUP_ROUND, WARMUP_ROUND + workload.warmup), *range(workload.repeats))


def round_title(who: str, workload: Workload, number: int, what: str) -> str:
    """Returns what a person who waits for a round reads."""
    kind = f"round {number + 1} of {workload.repeats}" if number < WARMUP_ROUND else "warm-up"
    return f"{who}: {kind}, {workload.requests} requests, {what}"


def swept(workload: Workload, adapters: int) -> Workload:
    """Returns the workload with so many adapters, all requests at once and the adapters in turn."""
    return replace(workload, adapters=adapters, rate=None, zipf=None, max_requests=workload.batch, sweep=())


def put_under_load(target: Target, workload: Workload, stages: Stages) -> Load:
    """Alternates rounds of every kind, so that a drifting machine is fair to all of them."""
    mixed, base = _Kind("adapters", workload), _Kind("no adapter", workload, base_only=True)
    sweep = {count: _swept_kind(workload, count) for count in workload.sweep}
    plain = [mixed, base] if target.answers_base else [mixed]
    taken: dict[_Kind, list[Round]] = {kind: [] for kind in (*plain, *sweep.values())}
    for number in round_numbers(workload):
        is_timed = number < WARMUP_ROUND
        for kind in (*plain, *(sweep.values() if is_timed else ())):
            stages.begin(round_title(target.name, workload, number, kind.title))
            calls = calls_of_round(kind.workload, kind.offset + number, kind.base_only)
            done = target.run_round(calls, workload.new_tokens)
            taken[kind].extend([done] if is_timed else [])
            stages.done()
    return Load(
        figures_of(taken[mixed]),
        figures_of(taken[base]) if base in taken else None,
        {count: figures_of(taken[kind]) for count, kind in sweep.items()},
    )


def _swept_kind(workload: Workload, count: int) -> _Kind:
    return _Kind(f"{count} distinct adapters", swept(workload, count), offset=_SWEEP_ROUND * count)
