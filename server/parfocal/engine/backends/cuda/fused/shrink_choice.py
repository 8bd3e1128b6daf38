"""Chooses at start where adapters' shrink runs: for each shape the fastest way that is right here."""

import logging
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from parfocal.engine.adapters import Place
from parfocal.engine.backends.cuda.fallback import (
    TOLERANCES,
    Report,
    Trial,
    choose,
    failures,
    is_memory_full,
)
from parfocal.engine.backends.cuda.four_bit import Clock
from parfocal.engine.backends.cuda.fused.projection import Projection
from parfocal.engine.backends.cuda.fused.shrinking import InOneLaunch, InTurn, OnTwoStreams, Shrinking
from parfocal.engine.backends.cuda.lora import SHORT, CudaLora, PageStore, Tiles
from parfocal.engine.backends.cuda.side_stream import SideStream
from parfocal.engine.backends.cuda.steps import Capturer

log = logging.getLogger(__name__)

_TRIAL_ROWS = 2
# What decode steps have; the sum over them decides.
_MEASURED_ROWS = (1, 8, 32, 64)
_TIMES = 5

Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Timing:
    """A card's second stream, and what captures and times work on it, for steps of so many `rows`."""

    side: SideStream
    capturer: Capturer
    clock: Callable[[], Clock]
    rows: Sequence[int] = _MEASURED_ROWS


@dataclass(frozen=True, slots=True)
class Examples:
    """Decode steps of random numbers in `dtype`, whose rows use the adapters at `places` in turn.

    All adapters have `rank` on all linears.
    """

    store: PageStore
    places: Sequence[Place]
    rank: int
    dtype: torch.dtype

    def lora(self, rows: int) -> CudaLora:
        """The work of so many rows, each a tile of its own."""
        own = [self.places[row % len(self.places)].index for row in range(rows)]
        device = self.store.table.device
        table = torch.tensor([(place, row, 1) for row, place in enumerate(own)], dtype=torch.int32)
        places = torch.tensor(own, dtype=torch.int32, device=device)
        return CudaLora(self.store, Tiles(table.to(device), SHORT, places), self.rank)

    def input(self, projection: Projection, rows: int) -> torch.Tensor:
        """An input of a projection, `[rows, inputs]`."""
        draw = torch.Generator().manual_seed(rows)
        inputs = self.store.shapes[projection.product.paths[0]][0]
        return torch.randn(rows, inputs, generator=draw).to(self.store.table.device, self.dtype)

    def shape(self, projection: Projection) -> Shape:
        """A projection's outputs and inputs."""
        shapes = [self.store.shapes[path] for path in projection.product.paths]
        return sum(outputs for _, outputs in shapes), shapes[0][0]


def choose_shrinking(
    projections: Iterable[Projection], examples: Examples, timing: Timing | None, report: Report
) -> None:
    """Gives each projection its way, in place; a way that fails or gives other numbers is reported.

    Without `timing`, or memory for it, there is no second stream, and one launch is taken to be the fastest.
    """
    by_shape: dict[Shape, list[Projection]] = {}
    for projection in projections:
        by_shape.setdefault(examples.shape(projection), []).append(projection)
    one_of_each = {shape: alike[0] for shape, alike in by_shape.items()}
    clock = None if timing is None else _clock(timing)
    ways: list[Shrinking] = [InOneLaunch()]
    timed = None
    if timing is not None and clock is not None:
        ways.append(OnTwoStreams(timing.side))
        timed = _Timed(one_of_each, examples, timing, clock)
    for shape, way in _Choice(one_of_each, examples, timed, report).ways(ways).items():
        log.info("adapters of %d x %d shrink %s", *shape, way.name)
        for projection in by_shape[shape]:
            projection.shrinking = way


def _clock(timing: Timing) -> Clock | None:
    """The clock; None where memory is full."""
    try:
        return timing.clock()
    except failures() as error:
        if not is_memory_full(error):
            raise
        log.info("there is no memory to time adapters' shrink, so it takes one launch with the product")
        return None


@dataclass(frozen=True, slots=True)
class _Timed:
    """What replays of a way take for each shape, summed over counts of rows."""

    projections: Mapping[Shape, Projection]
    examples: Examples
    timing: Timing
    clock: Clock

    def seconds(self, way: Shrinking) -> Mapping[Shape, float]:
        """Raises what Triton and the device raise where the way cannot be computed or captured."""
        return {
            shape: sum(self._median(way, projection, rows) for rows in self.timing.rows)
            for shape, projection in self.projections.items()
        }

    def _median(self, way: Shrinking, projection: Projection, rows: int) -> float:
        x, lora = self.examples.input(projection, rows), self.examples.lora(rows)
        replay = self.timing.capturer.capture(lambda: way(projection.product, x, lora).partials.parts)
        replay()
        return statistics.median(self.clock.seconds(replay) for _ in range(_TIMES))


@dataclass(frozen=True, slots=True)
class _Choice:
    """The choice for one projection of each shape; without `timed`, the first way that is right."""

    projections: Mapping[Shape, Projection]
    examples: Examples
    timed: _Timed | None
    report: Report

    def ways(self, candidates: Sequence[Shrinking]) -> Mapping[Shape, Shrinking]:
        """The way for each shape."""
        in_turn: Shrinking = InTurn()
        tried = {way: self._tried(way, in_turn) for way in candidates}
        seconds = {way: taken for way, taken in tried.items() if taken is not None}
        if self.timed is None:
            return dict.fromkeys(self.projections, next(iter(seconds), in_turn))
        seconds[in_turn] = self.timed.seconds(in_turn)
        log.info("shrink takes %s", {way.name: sum(taken.values()) for way, taken in seconds.items()})
        return {shape: min(seconds, key=lambda way: seconds[way][shape]) for shape in self.projections}

    def _tried(self, way: Shrinking, in_turn: Shrinking) -> Mapping[Shape, float] | None:
        """What a way takes for each shape where that is timed; None if it fails or is not right here."""
        seconds: dict[Shape, float] = {}

        def fast() -> Shrinking:
            if self.timed is not None:
                seconds.update(self.timed.seconds(way))
            return way

        trial = Trial(self._numbers, TOLERANCES[self.examples.dtype])
        chosen = choose(f"shrink_{way.name}", fast, in_turn, trial, self.report)
        return seconds if chosen is way else None

    def _numbers(self, way: Shrinking) -> torch.Tensor:
        """What a way leaves of each shape."""
        found = []
        for projection in self.projections.values():
            x = self.examples.input(projection, _TRIAL_ROWS)
            pending = way(projection.product, x, self.examples.lora(_TRIAL_ROWS))
            assert pending.shrunk is not None
            found += [pending.partials.parts, pending.shrunk.h[..., : self.examples.rank]]
        return torch.cat([part.float().flatten() for part in found])
