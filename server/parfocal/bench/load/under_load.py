"""Puts targets under a workload's load, round by round. Knows no wire."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from parfocal.bench.load.figures import Figures, figures_of
from parfocal.bench.load.rounds import Round
from parfocal.bench.load.stages import Stages
from parfocal.bench.workloads import WARMUP_ROUND, Call, Workload, calls_of_round

# What tables, pictures and bars call our own server; no other may have this name.
OWN_NAME = "Parfocal"
# Keep the prompts of a sweep, and of what we are compared to, apart from those of every other round.
_ALTERNATIVE_ROUND = 5_000_000
_SWEEP_ROUND = 10_000_000


class Target(Protocol):
    """A server that can be given a round of calls."""

    @property
    def name(self) -> str:
        """What tables and pictures call it."""

    @property
    def answers_base(self) -> bool:
        """Whether it is asked for the base without an adapter."""

    def run_round(self, calls: Sequence[Call], new_tokens: int) -> Round:
        """Sends each call when it arrives and reads all answers. Raises when there is no true figure."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Other settings that ours are compared to, in turn: the same server or another, and its own workload."""

    target: Target
    workload: Workload


@dataclass(frozen=True, slots=True)
class Load:
    """What one target gave: with adapters, without any (None: not asked), and by number of adapters.

    `alternative` is what the other settings gave, if there were any.
    """

    mixed: Figures
    base_only: Figures | None
    sweep: Mapping[int, Figures]
    alternative: Figures | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """One way to ask. `offset` makes its rounds' numbers its own; a sweep is not warmed up."""

    title: str
    target: Target
    workload: Workload
    base_only: bool = False
    offset: int = 0
    is_warmed: bool = True


def rounds_of_load(workload: Workload, has_alternative: bool = False) -> int:
    """How many stages `put_under_load` reports, at most."""
    kinds = 3 if has_alternative else 2
    return kinds * (workload.warmup + workload.repeats) + workload.repeats * len(workload.sweep)


def round_numbers(workload: Workload) -> Sequence[int]:
    """The numbers of the warm-up's rounds and then of the timed ones."""
    return (*range(WARMUP_ROUND, WARMUP_ROUND + workload.warmup), *range(workload.repeats))


def round_title(who: str, workload: Workload, number: int, what: str) -> str:
    """The progress line for a round."""
    is_timed = number < WARMUP_ROUND
    kind = f"round {number + 1} of {workload.repeats}" if is_timed else "warm-up"
    return f"{who}: {kind}, {workload.requests} requests, {what}"


def swept(workload: Workload, adapters: int) -> Workload:
    """The workload with so many adapters: at its own rate and popularity, where it has a rate.

    Otherwise all requests come at once, on the adapters in turn.
    """
    if workload.is_open:
        return replace(workload, adapters=adapters, slots=workload.server_slots, sweep=())
    return replace(
        workload, adapters=adapters, zipf=None, in_flight=None, max_requests=workload.batch, sweep=()
    )


def put_under_load(
    target: Target, workload: Workload, stages: Stages, alternative: Alternative | None = None
) -> Load:
    """Alternates rounds of every kind, so that a machine's drift affects all of them alike."""
    mixed = _Kind("adapters", target, workload)
    base = _Kind("no adapter", target, workload, base_only=True)
    other = [_alternative_kind(alternative)] if alternative else []
    sweep = {count: _swept_kind(target, workload, count) for count in workload.sweep}
    plain = [mixed, base] if target.answers_base else [mixed]
    taken: dict[_Kind, list[Round]] = {kind: [] for kind in (*plain, *other, *sweep.values())}
    for number in round_numbers(workload):
        for kind, done in _rounds(taken, number, stages):
            taken[kind].extend([done] if number < WARMUP_ROUND else [])
    return Load(
        figures_of(taken[mixed]),
        figures_of(taken[base]) if base in taken else None,
        {count: figures_of(taken[kind]) for count, kind in sweep.items()},
        figures_of(taken[other[0]]) if other else None,
    )


def _rounds(kinds: Mapping[_Kind, object], number: int, stages: Stages) -> Iterator[tuple[_Kind, Round]]:
    for kind in kinds:
        if number < WARMUP_ROUND or kind.is_warmed:
            stages.begin(round_title(kind.target.name, kind.workload, number, kind.title))
            calls = calls_of_round(kind.workload, kind.offset + number, kind.base_only)
            yield kind, kind.target.run_round(calls, kind.workload.new_tokens)
            stages.done()


def _alternative_kind(alternative: Alternative) -> _Kind:
    return _Kind("adapters", alternative.target, alternative.workload, offset=_ALTERNATIVE_ROUND)


def _swept_kind(target: Target, workload: Workload, count: int) -> _Kind:
    title, offset = f"{count} distinct adapters", _SWEEP_ROUND * count
    return _Kind(title, target, swept(workload, count), offset=offset, is_warmed=False)
