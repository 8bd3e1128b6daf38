"""How a setting is declared: a dataclass's field with its default, its help and its bounds. Values only."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

_T = TypeVar("_T")
# No counter, file or tensor exceeds this; only Python's integers do.
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a value must satisfy besides its type; without choices, any text will do.

    `minimum` and `maximum` are inclusive, `above` is not.
    """

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str | int, ...] = ()

    def hold(self, value: object) -> bool:
        """Whether `value` is within these bounds; only finite numbers can be."""
        if self.choices and value not in self.choices:
            return False
        if not isinstance(value, int | float):
            return True
        if isinstance(value, int) and abs(value) > _LARGEST:
            return False
        return (
            math.isfinite(value)
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
        )

    @property
    def words(self) -> str:
        """What a value must be, in words; empty if it may be any."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        stated = (("at least", self.minimum), ("above", self.above), ("at most", self.maximum))
        return ", ".join(f"{word} {bound:g}" for word, bound in stated if bound is not None)


def declare(default: _T, help_text: str, bounds: Bounds | None = None) -> _T:
    """A dataclass field that carries its help and its bounds."""
    return field(default=default, metadata={"help": help_text, "bounds": bounds or Bounds()})


def declared_by(declaring: type, name: str) -> Any:
    """A field with the default, help and bounds that another dataclass declares under this name."""
    (found,) = (each for each in fields(declaring) if each.name == name)
    return field(default=found.default, metadata=found.metadata)


def out_of_bounds(declared: Any) -> Iterator[tuple[str, object, Bounds]]:
    """Yields name, value and bounds of each field of a dataclass whose value is out of bounds.

    None is in bounds for a setting that is unset by default.
    """
    for each in fields(declared):
        value = getattr(declared, each.name)
        bounds: Bounds = each.metadata["bounds"]
        is_unset = value is None and each.default is None
        if not (is_unset or bounds.hold(value)):
            yield each.name, value, bounds
