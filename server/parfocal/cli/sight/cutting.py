"""What is too long for a page, cut with a count. Nothing is left out in silence."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

_MOST_CHARACTERS = 200


def shortened(text: str, most: int = _MOST_CHARACTERS) -> str:
    """The text, or its beginning and how long it is.

    >>> shortened("abcdef", 4)
    'abcd… (6 characters)'
    """
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def first(items: Sequence[Item], most: int, what: str) -> tuple[Sequence[Item], str]:
    """The first of many, and a line that counts the others; an empty one where there are none.

    >>> first([1, 2, 3], 2, "metrics")
    ([1, 2], '… and 1 more of 3 metrics: --json has them all')
    """
    rest = len(items) - most
    line = f"… and {rest} more of {len(items)} {what}: --json has them all" if rest > 0 else ""
    return items[:most], line
