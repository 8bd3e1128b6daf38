"""Bars out of characters. Knows what numbers to draw, and not what they mean."""

from collections.abc import Iterator, Sequence
from typing import Protocol

_WIDTH = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class Counted(Protocol):
    """So many rows from one number to another."""

    @property
    def low(self) -> int:
        """The least."""

    @property
    def high(self) -> int:
        """The most."""

    @property
    def rows(self) -> int:
        """How many there are."""


def bar(part: float, width: int = _WIDTH) -> str:
    """A bar as long as `part` of the width, to an eighth of a character; some of it for what is not nothing.

    >>> bar(0.5, 4), bar(0.001, 4), bar(0, 4)
    ('██', '▏', '')
    """
    eighths = max(round(part * width * 8), int(part > 0))
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).strip()


def histogram(bars: Sequence[Counted]) -> Iterator[str]:
    """One line a bar: from, to, a bar, how many rows."""
    most = max((each.rows for each in bars), default=0)
    wide = max((len(f"{each.high:,}") for each in bars), default=0)
    for each in bars:
        drawn = bar(each.rows / most).ljust(_WIDTH)
        yield f"{each.low:>{wide},} - {each.high:>{wide},}  {drawn}  {each.rows:,}".rstrip()
