"""Small pictures made of characters."""

from collections.abc import Sequence

_LEVELS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """The last `width` values as bars, the largest of them full.

    >>> sparkline([0, 1, 2, 4], 3)
    '▂▄█'
    """
    shown = list(values)[-width:] if width > 0 else []
    most = max(shown, default=0.0)
    if most <= 0:
        return _LEVELS[0] * len(shown)
    return "".join(_LEVELS[min(7, int(value / most * 7.999))] for value in shown)


def bar(parts: Sequence[tuple[float, str]], total: float, width: int) -> str:
    """A bar `width` wide: each part with its character, in order; what is left of `total` is dotted.

    >>> bar([(2, "█"), (1, "▒")], 4, 8)
    '████▒▒··'
    """
    if total <= 0:
        return "·" * width
    drawn, done = "", 0.0
    for amount, character in parts:
        done += amount
        drawn += character * (round(done / total * width) - len(drawn))
    return drawn[:width].ljust(width, "·")
