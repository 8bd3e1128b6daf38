"""Whether an adapter is really better than its base: the mean gain per held-out row and its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Gain:
    """How much lower the adapter's loss is, in nats per token averaged over rows, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What the interval supports: `better`, `worse`, or `no clear difference`."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no clear difference"


def gain(base_losses: Sequence[float], adapter_losses: Sequence[float]) -> Gain:
    """The gain over pairs of row losses (paired bootstrap, Efron 1979; always the same draws)."""
    differences = np.asarray(base_losses) - np.asarray(adapter_losses)
    generator = np.random.default_rng(0)
    draws = generator.integers(0, len(differences), (_DRAWS, len(differences)))
    means = differences[draws].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Gain(float(differences.mean()), float(low), float(high))
