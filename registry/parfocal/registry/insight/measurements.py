"""The recorded metrics of a version as people compare them: with its base, and with another version.

Training records `adapter_x` and `base_x` of one metric `x`, the ends of an interval as `x_low` and `x_high`,
and what is of a slice of the rows as `x/SLICE`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.registry.values import Evaluation

_OURS, _BASES = "adapter_", "base_"
_LOW, _HIGH = "_low", "_high"
_SLICE = "/"


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric's value, with the ends of its interval where they are recorded."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One metric of a version, of a slice if named; what is None was not recorded.

    `previous` is that of the other version, if it was measured on the same rows.
    """

    metric: str
    slice: str
    value: Measured | None
    base: Measured | None
    previous: Measured | None

    @property
    def title(self) -> str:
        """The metric's name, with that of the slice."""
        return f"{self.metric}{_SLICE}{self.slice}" if self.slice else self.metric


def measurements(evaluation: Evaluation, previous: Evaluation | None = None) -> tuple[Measurement, ...]:
    """Every metric of an evaluation, those of all rows first, by name."""
    ours = _read(evaluation.metrics)
    others = _read(previous.metrics) if previous is not None and _same_rows(evaluation, previous) else {}
    found = [
        Measurement(
            metric,
            of_slice,
            ours.get((prefix + metric, of_slice)),
            ours.get((_BASES + metric, of_slice)) if prefix else None,
            others.get((prefix + metric, of_slice)),
        )
        for prefix, metric, of_slice in _metrics(ours)
    ]
    return tuple(sorted(found, key=lambda each: (each.slice, each.metric)))


def _same_rows(one: Evaluation, other: Evaluation) -> bool:
    return bool(one.data_digest) and one.data_digest == other.data_digest


def _metrics(found: Mapping[tuple[str, str], Measured]) -> list[tuple[str, str, str]]:
    """Prefix, metric and slice of each; a pair of adapter and base is one metric."""
    metrics = dict[tuple[str, str, str], None]()
    for name, of_slice in found:
        paired = name.removeprefix(_OURS if name.startswith(_OURS) else _BASES)
        both = (_OURS + paired, of_slice) in found and (_BASES + paired, of_slice) in found
        is_one = name.startswith((_OURS, _BASES)) and paired and both
        metrics[(_OURS, paired, of_slice) if is_one else ("", name, of_slice)] = None
    return list(metrics)


def _read(metrics: Mapping[str, float]) -> dict[tuple[str, str], Measured]:
    """Each metric by name and slice, with its interval; the ends of one are no metrics of their own."""
    named = {(name, of_slice): value for key, value in metrics.items() for name, of_slice in [_parted(key)]}
    return {
        (name, of_slice): Measured(
            value, named.get((name + _LOW, of_slice)), named.get((name + _HIGH, of_slice))
        )
        for (name, of_slice), value in named.items()
        if not _is_an_end(name, of_slice, named)
    }


def _is_an_end(name: str, of_slice: str, named: Mapping[tuple[str, str], float]) -> bool:
    return any(name.endswith(end) and (name.removesuffix(end), of_slice) in named for end in (_LOW, _HIGH))


def _parted(key: str) -> tuple[str, str]:
    name, _, of_slice = key.partition(_SLICE)
    return name, of_slice
