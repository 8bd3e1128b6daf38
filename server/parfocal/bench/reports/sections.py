"""What people are shown, before it is laid out: headings with tables or pairs under them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """A title, and rows under it: a table where there are headings, otherwise pairs of name and value."""

    title: str
    rows: Sequence[tuple[str, ...]]
    headings: tuple[str, ...] = ()


def mebibytes(size_bytes: int) -> str:
    """A size in one unit, so that sizes can be compared at a glance.

    >>> mebibytes(3 << 30)
    '3,072.0 MiB'
    """
    return f"{size_bytes / 2**20:,.1f} MiB"
