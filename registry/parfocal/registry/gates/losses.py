"""Rules over held-out loss: below the base's, and not above that of the version an alias points at now."""

from dataclasses import dataclass

from parfocal.registry.gates.checks import checked_number, checked_text
from parfocal.registry.gates.findings import Finding, number_text, worst_slice
from parfocal.registry.gates.subject import EVERY_SLICE, Subject
from parfocal.registry.values import JSON, JsonObject

_LOSS, _BASE_LOSS = "adapter_loss", "base_loss"
# The lower end of the interval of how much lower the loss per row is than the base's.
_GAIN_LOW = "loss_gain_low"


@dataclass(frozen=True, slots=True)
class BelowBase:
    """The held-out loss is below the base's by more than `margin`.

    So is the lower end of the gain's interval, where that is recorded. With `slice`, of this slice; `*` is
    each of them.
    """

    margin: float = 0.0
    slice: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "margin", checked_number(self.margin, "the margin of the loss"))
        checked_text(self.slice, "slice", empty=True)

    def find(self, candidate: Subject, current: Subject | None) -> Finding:
        if self.slice != EVERY_SLICE:
            return self._find(candidate, self.slice)
        slices = candidate.slices(_LOSS)
        if not slices:
            return Finding.absent(f"no slice of {_LOSS} is recorded")
        return worst_slice((each, self._find(candidate, each)) for each in slices)

    def _find(self, candidate: Subject, slice_name: str) -> Finding:
        loss, base = (candidate.metric(name, slice_name) for name in (_LOSS, _BASE_LOSS))
        if loss is None or base is None:
            absent = _LOSS if loss is None else _BASE_LOSS
            return Finding.absent(f"{absent} is not recorded")
        low = candidate.metric(_GAIN_LOW, slice_name)
        gain = base - loss
        found = f"{number_text(loss)} against {number_text(base)} of the base"
        if low is not None:
            found += f", per row lower by at least {number_text(low)}"
        return Finding.below(self.margin - (gain if low is None else min(gain, low)), found)

    def to_json(self) -> dict[str, JSON]:
        """The rule as a JSON object."""
        return {"rule": "below_base", "margin": self.margin, "slice": self.slice}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "BelowBase":
        """The rule that `fields` hold; raises FieldError or InvalidGate."""
        fields.only(["rule", *cls.__dataclass_fields__])
        return cls(fields.number("margin"), fields.text("slice"))

    def __str__(self) -> str:
        by = f" by more than {number_text(self.margin)}" if self.margin else ""
        return f"held-out loss{of_slice(self.slice)} below the base's{by}"


@dataclass(frozen=True, slots=True)
class NotAboveCurrent:
    """The held-out loss is at most `margin` above that of the version that the alias points at now.

    Both were measured on the same rows. Where the alias points at nothing, there is nothing to be worse than.
    With `slice`, of this slice; `*` is each of them, those too that only the current version was measured on.
    """

    margin: float = 0.0
    slice: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "margin", checked_number(self.margin, "the margin of the loss"))
        checked_text(self.slice, "slice", empty=True)

    def find(self, candidate: Subject, current: Subject | None) -> Finding:
        if current is None:
            return Finding(True, "the alias points at nothing yet")
        problem = _why_not_comparable(candidate, current)
        if problem:
            return Finding.absent(problem)
        if self.slice != EVERY_SLICE:
            return self._find(candidate, current, self.slice)
        slices = sorted({*candidate.slices(_LOSS), *current.slices(_LOSS)})
        if not slices:
            return Finding.absent(f"no slice of {_LOSS} is recorded")
        return worst_slice((each, self._find(candidate, current, each)) for each in slices)

    def _find(self, candidate: Subject, current: Subject, slice_name: str) -> Finding:
        mine, theirs = (each.metric(_LOSS, slice_name) for each in (candidate, current))
        if mine is None or theirs is None:
            return Finding.absent(f"{_LOSS} of {candidate if mine is None else current} is not recorded")
        found = f"{number_text(mine)} against {number_text(theirs)} of {current}"
        return Finding.at_most(mine - theirs - self.margin, found)

    def to_json(self) -> dict[str, JSON]:
        """The rule as a JSON object."""
        return {"rule": "not_above_current", "margin": self.margin, "slice": self.slice}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "NotAboveCurrent":
        """The rule that `fields` hold; raises FieldError or InvalidGate."""
        fields.only(["rule", *cls.__dataclass_fields__])
        return cls(fields.number("margin"), fields.text("slice"))

    def __str__(self) -> str:
        by = f" by more than {number_text(self.margin)}" if self.margin else ""
        return f"held-out loss{of_slice(self.slice)} not above the current version's{by}"


def of_slice(name: str) -> str:
    """Which slice a rule is about, as a part of its sentence."""
    if not name:
        return ""
    return " of every slice" if name == EVERY_SLICE else f" of slice {name}"


def _why_not_comparable(candidate: Subject, current: Subject) -> str:
    """Why two losses cannot be compared; empty where they can."""
    if current.fault:
        return f"{current}, where the alias points, cannot be read"
    for each in (candidate, current):
        if each.evaluation is None:
            return f"no evaluation of {each} is recorded"
    assert candidate.evaluation is not None and current.evaluation is not None
    rows = candidate.evaluation.data_digest
    if not rows or rows != current.evaluation.data_digest:
        return f"{candidate} was measured on other rows than {current}"
    return ""
