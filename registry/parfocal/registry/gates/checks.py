"""Whether the parts of a rule can be recorded. Knows no rule."""

import math

from parfocal.registry.errors import InvalidGate
from parfocal.registry.values import MAX_TEXT


def checked_number(value: float, of: str) -> float:
    """A finite number; raises InvalidGate."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidGate(f"{of} is {str(value)[:80]}, not a finite number", field="rules")
    return float(value)


def checked_text(text: str, of: str, *, empty: bool = False) -> str:
    """A text that can stand in messages; raises InvalidGate."""
    if (not text and not empty) or len(text) > MAX_TEXT or not text.isprintable():
        raise InvalidGate(
            f"{of} {text[:80]!a} is empty, over {MAX_TEXT} characters long or holds control characters",
            field="rules",
        )
    return text
