"""What one look at a version found, for one rule. Knows no rule."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

_MOST_BYTES = 400
# What sums of recorded numbers are off by.
_NOISE = 1e-12


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a rule is met, what was found, and by how much it is missed, below 0 where it is met.

    `excess` is None where no number can say that.
    """

    passed: bool
    found: str
    excess: float | None = None

    @classmethod
    def at_most(cls, excess: float, found: str) -> "Finding":
        """What meets its rule unless it is beyond it by more than nothing."""
        return cls(excess <= _NOISE, found, excess)

    @classmethod
    def below(cls, excess: float, found: str) -> "Finding":
        """What meets its rule only where it is short of it: equal is not below."""
        return cls(excess < -_NOISE, found, max(excess, 0.0) if excess >= -_NOISE else excess)

    @classmethod
    def absent(cls, what: str) -> "Finding":
        """What meets no rule since it is not known."""
        return cls(False, what)


def worst_slice(findings: Iterable[tuple[str, Finding]]) -> Finding:
    """The finding that is furthest from its rule, named after its slice; `findings` has one at least."""
    told = list(findings)
    slice_name, worst = max(told, key=lambda each: _badness(each[1]))
    count = f", the worst of {len(told)}" if len(told) > 1 else ""
    return replace(worst, found=f"slice {slice_name}{count}: {worst.found}")


def number_text(value: float) -> str:
    """A number for people, with as many digits as tell it apart.

    >>> number_text(0.1 + 0.2), number_text(2.0)
    ('0.3', '2')
    """
    return f"{value:.6g}"


def shortened(text: str) -> str:
    """A text of which several fit an error on the wire, whose bytes are few."""
    data = text.encode(errors="replace")
    return text if len(data) <= _MOST_BYTES else f"{data[:_MOST_BYTES].decode(errors='ignore')}…"


def _badness(finding: Finding) -> tuple[bool, bool, float]:
    return not finding.passed, finding.excess is None, finding.excess or 0.0
