"""A rule over any metric: at least so much, or at most, with its interval."""

from dataclasses import dataclass
from enum import StrEnum

from parfocal.registry.errors import InvalidGate
from parfocal.registry.gates.checks import checked_number, checked_text
from parfocal.registry.gates.findings import Finding, number_text, worst_slice
from parfocal.registry.gates.losses import of_slice
from parfocal.registry.gates.subject import EVERY_SLICE, Subject
from parfocal.registry.values import JSON, FieldError, JsonObject

_SLICES = "/"


class Side(StrEnum):
    """On which side of a limit a metric must be."""

    AT_LEAST = "at_least"
    AT_MOST = "at_most"


# The end of an interval that is nearer to breaking the rule, as its metric's name ends.
_WORSE_END = {Side.AT_LEAST: "_low", Side.AT_MOST: "_high"}


@dataclass(frozen=True, slots=True)
class Bound:
    """`metric` is on this side of `limit`, and so is the worse end of its interval where that is recorded.

    The ends of the interval of `x` are the metrics `x_low` and `x_high`; with `interval` the rule is not met
    without. The metric of a slice is `x/SLICE`; `*` stands for every slice that is recorded.
    """

    metric: str
    side: Side
    limit: float
    slice: str = ""
    interval: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", checked_number(self.limit, f"the limit of {self.metric[:80]!a}"))
        checked_text(self.metric, "metric")
        checked_text(self.slice, "slice", empty=True)
        if _SLICES in self.metric:
            raise InvalidGate(
                f"metric {self.metric[:80]!a} names a slice; give it as the rule's slice", field="rules"
            )

    @classmethod
    def of(cls, name: str, side: Side, limit: float, *, interval: bool = False) -> "Bound":
        """The bound of a metric, or of one of its slices where it is written as `metric/slice`."""
        metric, _, slice_name = name.partition(_SLICES)
        return cls(metric, side, limit, slice_name, interval)

    def find(self, candidate: Subject, current: Subject | None) -> Finding:
        if self.slice != EVERY_SLICE:
            return self._find(candidate, self.slice)
        slices = candidate.slices(self.metric)
        if not slices:
            return Finding.absent(f"no slice of {self.metric} is recorded")
        return worst_slice((each, self._find(candidate, each)) for each in slices)

    def _find(self, candidate: Subject, slice_name: str) -> Finding:
        value = candidate.metric(self.metric, slice_name)
        if value is None:
            return Finding.absent("it is not recorded")
        end = candidate.metric(self.metric + _WORSE_END[self.side], slice_name)
        if end is None and self.interval:
            return Finding.absent(f"{number_text(value)}, and its interval is not recorded")
        found, ends = number_text(value), (value, value if end is None else end)
        if self.side is Side.AT_LEAST:
            told = found if end is None else f"{found}, perhaps only {number_text(end)}"
            return Finding.at_most(self.limit - min(ends), told)
        told = found if end is None else f"{found}, perhaps {number_text(end)}"
        return Finding.at_most(max(ends) - self.limit, told)

    def to_json(self) -> dict[str, JSON]:
        """The rule as a JSON object."""
        return {
            "rule": "bound",
            "metric": self.metric,
            "side": self.side.value,
            "limit": self.limit,
            "slice": self.slice,
            "interval": self.interval,
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Bound":
        """The rule that `fields` hold; raises FieldError or InvalidGate."""
        fields.only(["rule", *cls.__dataclass_fields__])
        try:
            side = Side(fields.text("side"))
        except ValueError as error:
            raise FieldError("side", str(error)) from error
        limit, interval = fields.number("limit"), fields.boolean("interval")
        return cls(fields.text("metric"), side, limit, fields.text("slice"), interval)

    def __str__(self) -> str:
        side = "at least" if self.side is Side.AT_LEAST else "at most"
        interval = ", with its interval" if self.interval else ""
        return f"{self.metric}{of_slice(self.slice)} {side} {number_text(self.limit)}{interval}"
