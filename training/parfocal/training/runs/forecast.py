"""How long the rest of a run takes, from how long its steps and scorings took so far. Knows no trainer."""

from collections import deque
from collections.abc import Sequence

_RECENT = 50  # steps that count: a machine's other work comes and goes
_WARM_UP = 2  # steps that also build kernels and allocate memory


class Forecast:
    """The rest of one run. `work` is each step's size from the first on, in any unit in which time grows.

    Without `work` all steps count the same.
    """

    def __init__(self, work: Sequence[float] = ()) -> None:
        self._work = work
        self._steps: deque[tuple[float, float]] = deque(maxlen=_RECENT)
        self._warm_up = _WARM_UP
        self._scorings: list[float] = []

    def stepped(self, step: int, seconds: float) -> None:
        """Takes note of the time of one step, counted from 1."""
        if self._warm_up and self._steps:
            self._warm_up -= 1
            self._steps.clear()
        self._steps.append((self._size(step), seconds))

    def scored(self, seconds: float) -> None:
        """Takes note of the time of one scoring of the watched rows."""
        self._scorings.append(seconds)

    def seconds_left(self, step: int, end: int, evaluate_every: int) -> float:
        """Seconds from the end of `step` to the end of `end`, scorings included."""
        if not self._steps:
            return float("nan")
        done = sum(size for size, _ in self._steps)
        speed = done / max(sum(seconds for _, seconds in self._steps), 1e-9)
        computing = sum(self._size(each) for each in range(step + 1, end + 1)) / speed
        return computing + self._scoring(step, end, evaluate_every)

    def _scoring(self, step: int, end: int, evaluate_every: int) -> float:
        if not self._scorings:
            return 0.0
        due = end // evaluate_every - step // evaluate_every + (end % evaluate_every > 0 and step < end)
        return due * sum(self._scorings) / len(self._scorings)

    def _size(self, step: int) -> float:
        return self._work[step - 1] if 0 < step <= len(self._work) else self._mean

    @property
    def _mean(self) -> float:
        return sum(self._work) / len(self._work) if self._work else 1.0
