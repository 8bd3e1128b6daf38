"""Finds by trial how many CPU threads to use, as the machine's other work comes and goes.

An OpenMP region ends when its last thread arrives, so beside other work several threads are often slower
than one: beside two busy loops on two cores, two threads train at 1,300 tokens/s and one at 2,000. No measure
of the load says which is better in a container or beside short-lived work; a stopwatch does.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

import torch

_TRIALS_SHARE = 0.02  # largest share of the time spent on failed trials
_LONGEST_GAP = 200  # pieces of work between trials
_SHORTEST_GAP = 4
_BETTER = 1.05  # a smaller gain does not count: pieces of work vary as much
_SHIFT = 1.35  # a change of speed that shows, twice in a row, that other work has come or gone
_REMEMBERED = 5  # pieces of work that measure the present speed

Apply = Callable[[int], None]
Clock = Callable[[], float]


class ThreadCount:
    """The number of threads for work of one kind, and the search for it among `counts`, most first.

    Times each piece of work. Now and then tries the next smaller or larger count for one, and keeps it if it
    was faster. The slower a trial was, the longer until the next, so that trials cost little at any load; a
    sudden change of speed brings the next one forward.
    """

    def __init__(
        self, counts: Sequence[int], apply: Apply = torch.set_num_threads, clock: Clock = time.perf_counter
    ) -> None:
        self._counts = counts
        self._at = 0
        self._apply = apply
        self._clock = clock
        self._speeds: deque[float] = deque(maxlen=_REMEMBERED)
        self._gap = self._wait = 2
        self._direction = 1
        self._shifts = 0
        self._warm = False

    @property
    def count(self) -> int:
        """The best number of threads so far."""
        return self._counts[self._at]

    @contextmanager
    def piece(self, size: int) -> Iterator[None]:
        """Sets the threads for one piece of work, of `size` in any unit in which its time grows."""
        at = self._next()
        self._apply(self._counts[at])
        began = self._clock()
        yield
        self._learn(at, size / max(self._clock() - began, 1e-9))
        self._apply(self._counts[-1])  # the work between two pieces is small and always the same

    def _next(self) -> int:
        """The count for the next piece: usually the best one, sometimes a neighbour."""
        if len(self._counts) == 1 or len(self._speeds) < 2 or self._wait > 0:
            return self._at
        if not 0 <= self._at + self._direction < len(self._counts):
            self._direction = -self._direction
        return self._at + self._direction

    def _learn(self, at: int, speed: float) -> None:
        if not self._warm:  # the first piece allocates memory and builds kernels
            self._warm = True
        elif at == self._at:
            self._go_on(speed)
        else:
            self._judge(at, speed)

    def _go_on(self, speed: float) -> None:
        self._wait -= 1
        if self._speeds:
            change = speed / median(self._speeds)
            self._shifts = self._shifts + 1 if max(change, 1 / change) > _SHIFT else 0
            if self._shifts > 1:
                self._wait = min(self._wait, max(_SHORTEST_GAP, self._gap // 4) - 1)
        self._speeds.append(speed)

    def _judge(self, at: int, speed: float) -> None:
        usual = median(self._speeds)
        if speed > _BETTER * usual:
            self._at = at
            self._speeds.clear()
            self._speeds.append(speed)
            self._gap = _SHORTEST_GAP // 2
        else:
            self._direction = -self._direction
            cost = usual / speed - 1
            self._gap = min(_LONGEST_GAP, max(_SHORTEST_GAP, math.ceil(cost / _TRIALS_SHARE)))
        self._wait = self._gap


def thread_counts(device: torch.device, dtype: torch.dtype, most: int | None = None) -> tuple[int, ...]:
    """The counts worth trying, most first; only one if the CPU does not compute.

    The counts give the same bits. In float32, where MKL multiplies, only powers of two do.
    """
    limit = most or torch.get_num_threads()
    if device.type != "cpu":
        return (limit,)
    first = limit if dtype is not torch.float32 else 1 << (limit.bit_length() - 1)
    return tuple(first >> halvings for halvings in range(first.bit_length()))


@contextmanager
def fixed_threads() -> Iterator[None]:
    """Restores torch's number of threads."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
