"""Lengths of time as people write them: 90s, 30m, 12h, 7d."""

import re

_SPAN = re.compile(r"(\d{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_in(text: str) -> float | None:
    """The seconds that a text stands for; None where it is no such text.

    >>> seconds_in("12h")
    43200.0
    """
    found = _SPAN.fullmatch(text)
    return None if found is None else float(int(found[1]) * _SECONDS[found[2]])
