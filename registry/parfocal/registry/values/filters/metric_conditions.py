"""What a recorded metric must be for a version to be listed, as a value and as people write it."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from parfocal.registry.errors import InvalidArgument
from parfocal.registry.values.limits import MAX_TEXT

_FIELD = "filter.metrics"


class Comparison(StrEnum):
    """How a metric is compared with a number."""

    AT_LEAST = ">="
    AT_MOST = "<="
    NOT = "!="
    ABOVE = ">"
    BELOW = "<"
    EQUAL = "="


_HOLDS: Mapping[Comparison, Callable[[float, float], bool]] = {
    Comparison.AT_LEAST: operator.ge,
    Comparison.AT_MOST: operator.le,
    Comparison.NOT: operator.ne,
    Comparison.ABOVE: operator.gt,
    Comparison.BELOW: operator.lt,
    Comparison.EQUAL: operator.eq,
}
_OPERATORS = "one of >=, <=, >, <, = and !="
# A name in quotation marks may hold any character but those; another ends where the comparison begins.
_NAME = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<bare>[^<>=!"]*))\s*')
_COMPARISON = re.compile(r"(?:>=|<=|!=|==|>|<|=)")
_NUMBER = re.compile(r"\s*(?P<digits>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?P<percent>\s*%)?\s*")


@dataclass(frozen=True, slots=True)
class MetricCondition:
    """`metric`, which a slice's name may follow as in `f1/de`, was recorded and compares so with `number`.

    Raises InvalidArgument for a name that no metric has, and a number that is not finite.
    """

    metric: str
    comparison: Comparison
    number: float

    def __post_init__(self) -> None:
        if not 0 < len(self.metric) <= MAX_TEXT:
            raise InvalidArgument(
                f"a metric's name has {len(self.metric)} characters; write 1 to {MAX_TEXT}", field=_FIELD
            )
        if not math.isfinite(self.number):
            raise InvalidArgument(
                f"{self.metric[:80]!a} is compared with {self.number}; recorded metrics are finite numbers",
                field=_FIELD,
            )
        object.__setattr__(self, "number", float(self.number))

    def holds(self, metrics: Mapping[str, float]) -> bool:
        """Whether it is so of these metrics."""
        found = metrics.get(self.metric)
        return found is not None and _HOLDS[self.comparison](found, self.number)

    @classmethod
    def parse(cls, text: str) -> "MetricCondition":
        """The condition that people write as `METRIC>=NUMBER`.

        Raises InvalidArgument, which names the character where it is wrong and what may stand there.

        >>> MetricCondition.parse("f1 >= 90%")
        MetricCondition(metric='f1', comparison=<Comparison.AT_LEAST: '>='>, number=0.9)
        """
        name = _NAME.match(text)
        assert name is not None  # it may be empty
        metric = (name["bare"] or "").strip() if name["quoted"] is None else name["quoted"]
        if not metric:
            _refuse(text, 0, "a metric's name", "f1, or in quotation marks")
        comparison = _COMPARISON.match(text, name.end())
        if comparison is None:
            _refuse(text, name.end(), _OPERATORS)
        number = _NUMBER.match(text, comparison.end())
        if number is None:
            _refuse(text, comparison.end(), "a number", "0.9, 1e-3 or 90%")
        if number.end() != len(text):
            _refuse(text, number.end(), "nothing more: give another condition with another --metric")
        value = float(number["digits"]) / (100 if number["percent"] else 1)
        if not math.isfinite(value):
            _refuse(text, number.start("digits"), "a number below 1.8e308")
        word = "=" if comparison[0] == "==" else comparison[0]
        return cls(metric, Comparison(word), value)

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.number:.6g}"


def _refuse(text: str, at: int, wanted: str, such_as: str = "") -> NoReturn:
    at += len(text[at:]) - len(text[at:].lstrip())
    found = f"{text[at : at + 20]!a}" if at < len(text) else "the end"
    example = f", such as {such_as}" if such_as else ""
    raise InvalidArgument(
        f"{text[:80]!a} has {found} at character {at + 1}, where {wanted} must stand{example}; "
        "write METRIC, a comparison and a number, as in f1>=0.9",
        field=_FIELD,
    )
