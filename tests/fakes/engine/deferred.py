"""A device that computes when it gets to it, under the real runner; copies wait for nobody.

What a step reads lies on the device and is read when the device computes: an adapter in its place, keys and
values in their blocks, and a decode step's inputs in a buffer that the next decode step overwrites.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, cast

from fakes.engine.engines import World
from fakes.engine.runner import FakeDevice, next_token, read_prompt
from parfocal.engine.model import Runner
from parfocal.engine.parts import PlanRunner
from parfocal.engine.sampling import Sampler
from parfocal.engine.scheduling import LaidRow, PlanRow, Reading, SampledToken, SamplingRow
from parfocal.engine.stopwatch import Stopwatch

EMPTY = "nothing"


class Weather(Protocol):
    """What happens around a step: other threads act, and things fail."""

    def blows(self, seam: str, rows: Sequence[PlanRow]) -> None:
        """Is called at each seam of a step, "launch", "half", "sample" and "wait"; may raise."""

    def spoils(self, row: PlanRow) -> bool:
        """Whether the row's logits are not finite."""

    def follows(self, rows: Sequence[PlanRow]) -> bool:
        """Whether rows can be queued whose tokens only the device knows."""


@dataclass
class DeferredDevice(FakeDevice):
    """A queue of work. `faults` says what was computed with other numbers than those it was queued for.

    `waits` counts how often somebody waited for it.
    """

    overlaps: bool = True
    queue: deque[Callable[[], None]] = field(default_factory=deque)
    faults: list[str] = field(default_factory=list)
    waits: int = 0

    def advance(self, count: int) -> None:
        """Computes the next `count` pieces of work."""
        for _ in range(min(count, len(self.queue))):
            self.queue.popleft()()

    def finish(self) -> None:
        """Computes all work."""
        self.waits += 1
        self.advance(len(self.queue))

    def is_lost(self, error: BaseException) -> bool:
        """Returns False: what fails here is the step."""
        del error
        return False

    def release(self) -> None:
        """Does nothing: tokens and digests take no memory."""


@dataclass
class Answers:
    """A step's rows and what comes of those that draw, once the device has computed it."""

    rows: Sequence[PlanRow]
    tokens: list[SampledToken]


class DeferredForward:
    """Queues a step's work, row by row, and returns answers to be."""

    def __init__(self, device: DeferredDevice, block_tokens: int, weather: Weather) -> None:
        self._device = device
        self._block_tokens = block_tokens
        self._weather = weather
        # Decode steps take turns on two buffers.
        self._decode_inputs: list[list[PlanRow]] = [[], []]

    def logits(self, laid: list[LaidRow], last: list[int]) -> Answers:
        """Returns the answers at the batch's places `last`."""
        return self.head(self.states(laid, last))

    def follow(self, laid: list[LaidRow], tokens: Answers, places: list[int]) -> Answers | None:
        """Returns the answers of rows that compute those `tokens`; None where the weather wants the host."""
        rows = [item.row for item in laid]
        if not self._weather.follows(rows):
            return None
        self._queue(rows, [partial(_token, tokens, place) for place in places])
        return self.head(rows)

    def states(self, laid: list[LaidRow], places: list[int]) -> list[PlanRow]:
        """Returns the row of each of the batch's `places`, once their work is queued."""
        rows = [item.row for item in laid]
        self._queue(rows, [partial(_known, row) for row in rows])
        return [next(item.row for item in laid if item.start <= place < item.end) for place in places]

    def head(self, states: list[PlanRow]) -> Answers:
        """Returns the answers at the ends of rows."""
        answers = Answers(states, [SampledToken(-1, error="1 logit is NaN")] * len(states))
        for order, row in enumerate(states):
            if not self._weather.spoils(row):
                self._device.queue.append(partial(self._draw, answers, order, row, self._lying(row)))
        return answers

    def read(self, states: list[PlanRow], readings: Sequence[Reading]) -> list[SampledToken]:
        """Returns what is read of rows, having waited for the device."""
        answers = Answers(states, [SampledToken(-1, error="1 state is NaN")] * len(readings))
        for order, reading in enumerate(readings):
            row = next(row for row in states if row.reading is reading)
            if not self._weather.spoils(row):
                self._device.queue.append(partial(self._take, answers, order, row, self._lying(row)))
        self._device.finish()
        return answers.tokens

    def _queue(self, rows: list[PlanRow], tokens: Sequence[Callable[[], Sequence[int]]]) -> None:
        inputs = self._filled(rows)
        self._weather.blows("launch", rows)
        for number, (row, own) in enumerate(zip(rows, tokens, strict=True)):
            self._device.queue.append(partial(self._write, inputs, number, row, own, self._lying(row)))
        self._weather.blows("half", rows)

    def _filled(self, rows: list[PlanRow]) -> list[PlanRow]:
        if any(len(row.token_ids) > 1 for row in rows):
            return rows
        self._decode_inputs.reverse()
        self._decode_inputs[0][:] = rows
        return self._decode_inputs[0]

    def _lying(self, row: PlanRow) -> str:
        return self._device.places.get(row.place, EMPTY) if row.place else ""

    def _write(
        self,
        inputs: list[PlanRow],
        number: int,
        row: PlanRow,
        tokens: Callable[[], Sequence[int]],
        digest: str,
    ) -> None:
        if inputs[number : number + 1] != [row]:
            self._device.faults.append("a step reads the inputs of a later one")
        if (found := self._lying(row)) != digest:
            self._device.faults.append(f"a step for {digest or 'the base'} computes with {found}")
        for at, token in enumerate(tokens(), start=row.start):
            self._device.cache[self._at(row, at)] = (token, found)

    def _draw(self, answers: Answers, order: int, row: PlanRow, digest: str) -> None:
        answers.tokens[order] = SampledToken(next_token(self._known(row, digest), digest))

    def _take(self, answers: Answers, order: int, row: PlanRow, digest: str) -> None:
        assert row.reading is not None
        read = read_prompt(self._known(row, digest), row.start, digest, row.reading)
        answers.tokens[order] = SampledToken(-1, read=read)

    def _known(self, row: PlanRow, digest: str) -> tuple[int, ...]:
        """Returns a row's tokens to its end, as they lie in the cache."""
        cells = [self._device.cache[self._at(row, at)] for at in range(row.end)]
        owners = {owner for _, owner in cells} | {self._lying(row)}
        if owners != {digest}:
            self._device.faults.append(f"a row of {digest or 'the base'} reads what {owners} computed")
        return tuple(token for token, _ in cells)

    def _at(self, row: PlanRow, position: int) -> tuple[int, int]:
        return row.blocks[position // self._block_tokens], position % self._block_tokens


def _known(row: PlanRow) -> Sequence[int]:
    return row.token_ids


def _token(answers: Answers, place: int) -> Sequence[int]:
    """Returns a token as the device finds it, once it gets there; one that is none is computed in vain."""
    return (max(0, answers.tokens[place].token_id),)


@dataclass
class DeferredTokens:
    """A step's tokens on their way: whoever reads them waits until the device has come so far."""

    chosen: Answers
    device: DeferredDevice
    weather: Weather
    has_come: bool = False

    def come(self) -> None:
        """Is called when the device gets there."""
        self.has_come = True

    def tokens(self, *, are_logits_there: bool) -> list[SampledToken]:
        """Returns the tokens of the rows that draw, having waited for them and for nothing else."""
        del are_logits_there
        self.weather.blows("wait", self.chosen.rows)
        self.device.waits += 1
        while not self.has_come:
            self.device.advance(1)
        return self.chosen.tokens


class DeferredSampler(Sampler):
    """Returns tokens that the device has not drawn yet."""

    def __init__(self, device: DeferredDevice, weather: Weather) -> None:
        self._device = device
        self._weather = weather

    def queue(self, logits: Answers, rows: Sequence[SamplingRow]) -> DeferredTokens:  # type: ignore[override]
        """Returns the tokens of the rows that draw."""
        assert len(rows) == len(logits.tokens)
        self._weather.blows("sample", logits.rows)
        drawn = DeferredTokens(logits, self._device, self._weather)
        self._device.queue.append(drawn.come)
        return drawn


@dataclass
class _Backend:
    """What the runner asks of a backend."""

    device: DeferredDevice
    watch: Stopwatch

    def take_over(self, cpu_threads: int) -> None:
        """Does nothing."""


class DeferredWorld(World):
    """A world whose engine computes by the real runner on a deferred device, in some weather."""

    def __init__(self, weather: Weather, **sizes: Any) -> None:
        self.late = DeferredDevice()
        self._weather = weather
        super().__init__(**sizes)

    def new_device(self) -> FakeDevice:
        """Returns the deferred device."""
        self.late.overlaps = self.overlaps
        return self.late

    def new_runner(self) -> PlanRunner:
        """Returns the real runner over deferred parts."""
        forward = DeferredForward(self.late, self.block_tokens, self._weather)
        backend = _Backend(self.late, Stopwatch())
        sampler = DeferredSampler(self.late, self._weather)
        ahead = cast(Any, forward) if self.overlaps else None
        return Runner(cast(Any, forward), cast(Any, backend), sampler, cast(Any, forward), ahead)
