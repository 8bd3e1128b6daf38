"""How long rows are, in tokens: quantiles, and counts for a histogram. Draws nothing."""

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.registry.values import JSON

_QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
_BARS = 12


@dataclass(frozen=True, slots=True)
class Bar:
    """So many rows have from `low` to `high` tokens, both included."""

    low: int
    high: int
    rows: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """What is known of one kind of length. `bars` are for a histogram."""

    least: int
    mean: float
    quantiles: Mapping[str, int]
    most: int
    total: int
    bars: tuple[Bar, ...]

    @classmethod
    def of(cls, counts: "array[int]") -> "Lengths | None":
        """The lengths of rows; None of none."""
        if not counts:
            return None
        ordered = sorted(counts)
        quantiles = {name: ordered[math.ceil(part * len(ordered)) - 1] for name, part in _QUANTILES}
        total = sum(ordered)
        return cls(ordered[0], total / len(ordered), quantiles, ordered[-1], total, _bars(ordered))

    def to_json(self) -> dict[str, JSON]:
        """The figures as a document has them."""
        return {
            "least": self.least,
            "mean": round(self.mean, 1),
            **self.quantiles,
            "most": self.most,
            "total": self.total,
            "histogram": [{"from": bar.low, "to": bar.high, "rows": bar.rows} for bar in self.bars],
        }


def _bars(ordered: list[int]) -> tuple[Bar, ...]:
    """Equal steps on a scale that people read: 1, 2 or 5 times a power of ten."""
    span = ordered[-1] - ordered[0] + 1
    rough = max(1, math.ceil(span / _BARS))
    power = 10 ** (len(str(rough)) - 1)
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = ordered[0] // step * step
    counts = [0] * ((ordered[-1] - first) // step + 1)
    for length in ordered:
        counts[(length - first) // step] += 1
    return tuple(Bar(first + at * step, first + (at + 1) * step - 1, rows) for at, rows in enumerate(counts))
