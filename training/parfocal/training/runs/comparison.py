"""Whether an adapter is really better than its base: the mean gain per held-out row and its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.training.intervals import Difference, Resamples, compare


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better the adapter is per row, in the unit of what was measured, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What the interval supports: `better`, `worse`, or `no clear difference`."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no clear difference"

    @classmethod
    def of(cls, improvement: Difference) -> "Gain":
        """The gain that an improvement is."""
        return cls(improvement.value, improvement.interval.low, improvement.interval.high)


def gain(base_losses: Sequence[float], adapter_losses: Sequence[float]) -> Gain:
    """The gain over pairs of row losses, as `intervals.compare` finds it."""
    return Gain.of(compare(base_losses, adapter_losses, Resamples(range(len(base_losses)))))
