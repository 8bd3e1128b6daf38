"""What the requests of one version were like, and how two versions compare."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from parfocal.registry import CanaryComparison, Guard, GuardedMetric
from parfocal.server.canaries.intervals import (
    Interval,
    Moments,
    always_valid_z,
    ratio_of_means,
    share_difference,
)

# How likely a canary that is no worse is never to be aborted by any of its guards.
CONFIDENCE = 0.95
_SHORTEST_S = 1e-6


@dataclass(frozen=True, slots=True)
class Ended:
    """How a request ended: whether it failed, and of an answer its first token in seconds and its length."""

    failed: bool
    first_token_s: float | None = None
    tokens: int | None = None


@dataclass(slots=True)
class Measured:
    """The ended requests of one version; those that their callers gave up or spoilt are not among them."""

    requests: int = 0
    errors: int = 0
    first_token: Moments = field(default_factory=Moments)
    tokens: Moments = field(default_factory=Moments)

    def add(self, ended: Ended) -> None:
        """Takes one request."""
        self.requests += 1
        self.errors += ended.failed
        if ended.first_token_s is not None:
            self.first_token.add(math.log(max(ended.first_token_s, _SHORTEST_S)))
        if ended.tokens is not None:
            self.tokens.add(math.log(max(ended.tokens, 1)))

    def value(self, metric: GuardedMetric) -> float | None:
        """The share of errors, or the geometric mean; None where nothing was measured."""
        if metric is GuardedMetric.ERRORS:
            return self.errors / self.requests if self.requests else None
        moments = self._moments(metric)
        return math.exp(moments.mean) if moments.count else None

    def count(self, metric: GuardedMetric) -> int:
        """How many requests a value is of."""
        return self.requests if metric is GuardedMetric.ERRORS else self._moments(metric).count

    def against(self, stable: "Measured", metric: GuardedMetric, z: float) -> Interval:
        """This version's difference from the other, as `CanaryComparison` has it."""
        if metric is GuardedMetric.ERRORS:
            return share_difference((self.errors, self.requests), (stable.errors, stable.requests), z)
        return ratio_of_means(self._moments(metric), stable._moments(metric), z)

    def _moments(self, metric: GuardedMetric) -> Moments:
        return self.first_token if metric is GuardedMetric.TTFT else self.tokens


def compared(canary: Measured, stable: Measured, guards: Sequence[Guard]) -> tuple[CanaryComparison, ...]:
    """What each guard finds that has seen enough; each has its part of the probability to be wrong."""
    return tuple(
        found
        for guard in guards
        if (found := _found(canary, stable, guard, (1 - CONFIDENCE) / len(guards))) is not None
    )


def _found(canary: Measured, stable: Measured, guard: Guard, alpha: float) -> CanaryComparison | None:
    metric = guard.metric
    ours, theirs = canary.count(metric), stable.count(metric)
    value, other = canary.value(metric), stable.value(metric)
    if min(ours, theirs) < guard.samples or value is None or other is None:
        return None
    found = canary.against(stable, metric, always_valid_z(ours, theirs, guard.samples, alpha))
    return CanaryComparison(
        metric, guard.margin, 1 - alpha, ours, theirs, value, other, found.value, found.low, found.high
    )
