"""A figure with what is known of its error. Values only."""

from dataclasses import dataclass
from enum import StrEnum

LEVEL = 0.95


class Verdict(StrEnum):
    """What the interval of a difference supports."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "no clear difference"


@dataclass(frozen=True, slots=True)
class Interval:
    """The ends of a 95 % interval."""

    low: float
    high: float

    def with_zero(self) -> "Interval":
        """The interval stretched until it holds 0."""
        return Interval(min(self.low, 0.0), max(self.high, 0.0))

    def within(self, low: float, high: float) -> "Interval":
        """The interval cut to what is possible."""
        return Interval(max(self.low, low), min(self.high, high))

    def negated(self) -> "Interval":
        """That of the same figure with the other sign."""
        return Interval(-self.high, -self.low)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of one model. Without an interval too few rows were measured to have one."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Difference:
    """How much higher a figure of one model is than that of another on the same rows.

    `detectable` is the smallest difference that as many rows would have shown four times in five, None where
    they are too few to say. `p_value` is that of the exact test of paired rates, None for other figures.
    """

    value: float
    interval: Interval
    detectable: float | None
    p_value: float | None = None

    @property
    def is_higher(self) -> bool:
        """Whether the interval says that it is higher."""
        return self.interval.low > 0

    @property
    def is_lower(self) -> bool:
        """Whether the interval says that it is lower."""
        return self.interval.high < 0

    def verdict(self, *, higher_is_better: bool = True) -> Verdict:
        """What may be said of the first model beside the second."""
        if self.is_higher:
            return Verdict.BETTER if higher_is_better else Verdict.WORSE
        if self.is_lower:
            return Verdict.WORSE if higher_is_better else Verdict.BETTER
        return Verdict.UNCLEAR

    def negated(self) -> "Difference":
        """The same difference seen from the second model."""
        return Difference(-self.value, self.interval.negated(), self.detectable, self.p_value)
