"""CUDA graphs of decode steps: for some numbers of rows, with adapters and without, captured once at start.

A replay launches hundreds of kernels with one call. Adapters come and go between replays without a new
capture, because kernels find them through a table on the device.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch

from parfocal.engine.backends.cuda.lora import Adapters, is_shared
from parfocal.engine.backends.cuda.sending import each_by_itself
from parfocal.engine.backends.cuda.steps.decode_inputs import DecodeInputs, Parts, Unseen, decode_inputs
from parfocal.engine.model import Forward
from parfocal.engine.scheduling import LaidRow
from parfocal.engine.stopwatch import GRAPH, Stopwatch

log = logging.getLogger(__name__)

# A server is not ready while it captures.
MOST_SECONDS = 30.0


class Replay(Protocol):
    """One captured step."""

    def __call__(self) -> torch.Tensor:
        """Computes it again on what its inputs hold now; returns the same tensor each time."""


class Capturer(Protocol):
    """Makes graphs; they share their memory, since only one runs at a time."""

    def capture(self, run: Callable[[], torch.Tensor]) -> Replay:
        """Returns `run` as a graph. Raises RuntimeError if something in it cannot be captured."""


class DecodeStep(Protocol):
    """One decode step of the base on inputs that lie on the device."""

    def decode(self, inputs: DecodeInputs, adapters: Adapters) -> torch.Tensor:
        """Returns the logits `[rows, vocabulary]`, of any type, of rows with such adapters."""


@dataclass(frozen=True, slots=True)
class GraphLimits:
    """The most rows of a step, the longest context's blocks, a block's tokens, and the time to capture.

    `shares`: whether steps whose rows share adapters are captured apart.
    """

    rows: int
    most_blocks: int
    block_tokens: int
    shares: bool = False
    seconds: float = MOST_SECONDS


def buckets(most: int) -> list[int]:
    """Returns the row counts to capture, close enough together that little padding is computed.

    >>> buckets(40), buckets(3)
    ([1, 2, 4, 8, 16, 24, 32, 40], [1, 2, 3])
    """
    sizes = [1, 2, 4, 8, *range(16, 64, 8), *range(64, 256, 16), *range(256, most, 32)]
    return [size for size in sizes if size < most] + [most]


class DecodeGraphs:
    """The captured steps, by rows and by what there is of adapters.

    What lives as long as a graph is there once for all of them, as large as for the largest: one runs at a
    time, and of dozens each would keep its own.
    """

    def __init__(
        self, step: DecodeStep, capturer: Capturer, limits: GraphLimits, device: torch.device
    ) -> None:
        self._step = step
        self._capturer = capturer
        self._limits = limits
        self._device = device
        numbers = Parts.size(limits.rows, limits.most_blocks)
        self._inputs = torch.empty(numbers, dtype=torch.int32, device=device)
        self._logits: torch.Tensor | None = None
        self._captured: dict[tuple[int, Adapters], tuple[DecodeInputs, Replay]] = {}

    def __len__(self) -> int:
        return len(self._captured)

    def capture(self, clock: Callable[[], float] = time.monotonic) -> float:
        """Captures the steps, largest first, until time runs out; returns the seconds taken.

        Raises RuntimeError if one cannot be captured: then none is kept.
        """
        begun = clock()
        with ExitStack() as unless_captured:
            unless_captured.callback(self._captured.clear)
            self._capture_all(begun, clock)
            unless_captured.pop_all()
        return clock() - begun

    def find(self, rows: int, adapters: Adapters) -> tuple[DecodeInputs, Replay] | None:
        """Returns the smallest captured step that fits `rows`."""
        sizes = [size for size, own in self._captured if size >= rows and own is adapters]
        return self._captured[min(sizes), adapters] if sizes else None

    def logits(self, laid: Sequence[LaidRow], unseen: Unseen | None = None) -> torch.Tensor | None:
        """Returns the logits `[rows, vocabulary]` of a decode step; None if no graph fits it.

        Its tokens are the rows', or those `unseen`.
        """
        found = self.find(len(laid), self._adapters(laid))
        if found is None:
            return None
        inputs, replay = found
        inputs.fill(laid, self._limits.block_tokens, unseen)
        return replay()[: len(laid)]

    def _adapters(self, laid: Sequence[LaidRow]) -> Adapters:
        places = [item.row.place for item in laid if item.row.place is not None]
        if not places:
            return Adapters.NONE
        is_alike = self._limits.shares and is_shared(len(places), len(set(places)))
        return Adapters.SHARED if is_alike else Adapters.BY_ROW

    def _capture_all(self, begun: float, clock: Callable[[], float]) -> None:
        for rows in reversed(buckets(self._limits.rows)):
            if clock() - begun > self._limits.seconds:
                log.warning(
                    "%d graphs in %.0f s; smaller steps take a larger graph", len(self), clock() - begun
                )
                break
            self._capture(rows)

    def _capture(self, rows: int) -> None:
        inputs = decode_inputs(rows, self._limits.most_blocks, self._inputs)
        made = {}
        kinds = [Adapters.NONE, Adapters.BY_ROW]
        if self._limits.shares and is_shared(rows, 1):
            kinds.append(Adapters.SHARED)
        for adapters in kinds:
            run = partial(self._decode, inputs, adapters)
            made[rows, adapters] = (inputs, self._capturer.capture(run))
        self._captured |= made

    def _decode(self, inputs: DecodeInputs, adapters: Adapters) -> torch.Tensor:
        """Returns a step's logits as float32, in the first rows of the buffer of all graphs."""
        logits = self._step.decode(inputs, adapters)
        if self._logits is None:
            shape = (self._limits.rows, logits.shape[1])
            self._logits = torch.empty(shape, dtype=torch.float32, device=logits.device)
        return self._logits[: inputs.rows].copy_(logits)


class GraphForward:
    """Runs decode steps by graph where one fits, and everything else by `eager`."""

    def __init__(self, eager: Forward, graphs: DecodeGraphs, watch: Stopwatch) -> None:
        self._eager = eager
        self._graphs = graphs
        self._watch = watch

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """Returns the logits `[places, vocabulary]` of the batch's places `last`, as float32."""
        found = self._replayed(laid)
        if found is None:
            return self._eager.logits(laid, last)
        if last == list(range(len(laid))):
            return found
        return found.index_select(0, each_by_itself(found.device)(torch.tensor(last or [0])))

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        """Returns the hidden states `[places, hidden]` of the batch's `places` after the final norm."""
        return self._eager.states(laid, places)

    def head(self, states: torch.Tensor) -> torch.Tensor:
        """Returns the logits `[places, vocabulary]` of `states` `[places, hidden]`, as float32."""
        return self._eager.head(states)

    def follow(self, laid: list[LaidRow], tokens: torch.Tensor, places: list[int]) -> torch.Tensor | None:
        """Returns the logits `[rows, vocabulary]` of a step whose row `i` computes `tokens[places[i]]`.

        `tokens`, int64, may still be computed. None where no graph fits.
        """
        return self._replayed(laid, Unseen(tokens, places))

    def _replayed(self, laid: list[LaidRow], unseen: Unseen | None = None) -> torch.Tensor | None:
        if not laid or any(item.tokens != 1 for item in laid):
            return None
        with self._watch.part(GRAPH):
            return self._graphs.logits(laid, unseen)


class CudaCapturer:
    """Captures with torch's CUDA graphs; see `torch.cuda.graph`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def capture(self, run: Callable[[], torch.Tensor]) -> Replay:
        """Runs twice so that everything lazy is built, allocated and tuned, then captures."""
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(2):
                run()
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Other threads may be loading adapters.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            output = run()

        def replay() -> torch.Tensor:
            graph.replay()
            return output

        return replay
