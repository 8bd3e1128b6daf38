"""When a canary is aborted: what is compared, and what the comparison has found. Measures nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from parfocal.registry.errors import InvalidCanary
from parfocal.registry.values.canonical_json import JSON
from parfocal.registry.values.json_fields import FieldError, JsonObject

FEWEST_SAMPLES = 20
USUAL_SAMPLES = 50
_MOST_SAMPLES = 1_000_000
_MOST_MARGIN = 100.0


class GuardedMetric(StrEnum):
    """What is measured of a canary's requests and of the stable version's.

    `errors`: the share of requests that failed, without those given up or turned away. `ttft`: the time to
    the first token. `tokens`: the length of an answer, of which neither more nor less is better.
    """

    ERRORS = "errors"
    TTFT = "ttft"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Guard:
    """A canary is aborted once it is worse by more than `margin`, chance excluded.

    Of `errors` the margin is a difference of shares (0.01: one request in a hundred), of the others it is
    relative (0.1: a tenth). Nothing is judged before each version has `samples` requests. Raises
    InvalidCanary.
    """

    metric: GuardedMetric
    margin: float = 0.0
    samples: int = USUAL_SAMPLES

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and 0 <= self.margin <= _MOST_MARGIN):
            raise InvalidCanary(
                f"a guard's margin is {self.margin}; give 0 to {_MOST_MARGIN:g}", field="guards.margin"
            )
        if not FEWEST_SAMPLES <= self.samples <= _MOST_SAMPLES:
            raise InvalidCanary(
                f"a guard judges after {self.samples} requests; give {FEWEST_SAMPLES} to {_MOST_SAMPLES}",
                field="guards.samples",
            )

    @classmethod
    def parse(cls, text: str, samples: int = USUAL_SAMPLES) -> "Guard":
        """The guard that a user spells `metric` or `metric+margin`; raises InvalidCanary.

        >>> Guard.parse("ttft+20%")
        Guard(metric=<GuardedMetric.TTFT: 'ttft'>, margin=0.2, samples=50)
        """
        word, _, margin = text.partition("+")
        try:
            metric = GuardedMetric(word.strip())
        except ValueError as error:
            known = ", ".join(GuardedMetric)
            raise InvalidCanary(
                f"{text[:80]!a} names no metric of a canary; those are {known}", field="guards.metric"
            ) from error
        return cls(metric, _share(margin, text) if margin else 0.0, samples)

    def to_json(self) -> dict[str, JSON]:
        """The guard as a JSON object."""
        return {"metric": self.metric.value, "margin": self.margin, "samples": self.samples}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Guard":
        """The guard that `fields` hold; raises FieldError or InvalidCanary."""
        try:
            metric = GuardedMetric(fields.text("metric"))
        except ValueError as error:
            raise FieldError("metric", str(error)) from error
        return cls(metric, fields.number("margin"), fields.count("samples"))

    def __str__(self) -> str:
        by = f" by more than {self.margin:.4g}" if self.margin else ""
        return f"{self.metric} worse{by} after {self.samples} requests of each"


def check_guards(guards: Sequence[Guard]) -> tuple[Guard, ...]:
    """The guards, if no two are about one metric; raises InvalidCanary."""
    metrics = [guard.metric for guard in guards]
    if len(set(metrics)) != len(metrics):
        raise InvalidCanary("a canary has two guards for one metric; give one", field="guards")
    return tuple(guards)


@dataclass(frozen=True, slots=True)
class CanaryComparison:
    """What a guard found: the canary's worsening, and the interval that holds it with `confidence`.

    Of `errors` the two values are shares and `difference` is the canary's minus the stable version's; of the
    others they are geometric means, in seconds or tokens, and `difference` is the canary's relative to the
    stable version's, minus 1. The canary `is_worse` where the whole interval is beyond `margin`.
    """

    metric: GuardedMetric
    margin: float
    confidence: float
    canary_requests: int
    stable_requests: int
    canary_value: float
    stable_value: float
    difference: float
    low: float
    high: float

    def __post_init__(self) -> None:
        numbers = (self.canary_value, self.stable_value, self.difference, self.low, self.high)
        if not all(map(math.isfinite, (self.margin, self.confidence, *numbers))):
            raise InvalidCanary("a comparison holds something that is no number", field="comparisons")
        if min(self.canary_requests, self.stable_requests) < 0:
            raise InvalidCanary("a comparison counts requests below zero", field="comparisons")

    @property
    def is_worse(self) -> bool:
        """Whether chance and the margin do not explain the difference."""
        both_ways = self.metric is GuardedMetric.TOKENS
        return self.low > self.margin or (both_ways and self.high < -self.margin)

    def to_json(self) -> dict[str, JSON]:
        """The comparison as a JSON object."""
        return {"metric": self.metric.value} | {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name != "metric"
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> "CanaryComparison":
        """The comparison that `fields` hold; raises FieldError."""
        try:
            metric = GuardedMetric(fields.text("metric"))
        except ValueError as error:
            raise FieldError("metric", str(error)) from error
        numbers = ("canary_value", "stable_value", "difference", "low", "high")
        return cls(
            metric,
            fields.number("margin"),
            fields.number("confidence"),
            fields.count("canary_requests"),
            fields.count("stable_requests"),
            *(fields.number(name) for name in numbers),
        )

    def __str__(self) -> str:
        return (
            f"{self.metric} {self.canary_value:.4g} of {self.canary_requests} requests against "
            f"{self.stable_value:.4g} of {self.stable_requests}: {self.difference:+.4g}, between "
            f"{self.low:+.4g} and {self.high:+.4g} at {self.confidence:.0%}"
        )


def _share(text: str, whole: str) -> float:
    """A number, or a percentage."""
    stripped = text.strip()
    try:
        return float(stripped[:-1]) / 100 if stripped.endswith("%") else float(stripped)
    except ValueError as error:
        raise InvalidCanary(
            f"{whole[:80]!a} ends in no number; write METRIC+0.02 or METRIC+2%", field="guards.margin"
        ) from error
