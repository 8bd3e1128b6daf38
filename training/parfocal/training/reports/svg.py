"""Plots as inline SVG: values with their intervals, and how tokens are spent. Texts are escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _LEFT, _RIGHT = 520, 170, 70
_ROW, _TOP, _BOTTOM = 22, 8, 26
_PLOT = _WIDTH - _LEFT - _RIGHT
_MOST_LABEL = 23


@dataclass(frozen=True, slots=True)
class Bar:
    """A value to plot, with the ends of its interval where there are any; `kind` is a class of the page."""

    label: str
    value: float
    text: str
    kind: str
    low: float | None = None
    high: float | None = None


def intervals(bars: Sequence[Bar], *, title: str, zero: bool = False) -> str:
    """A dot and whiskers for each value, one below the other; with `zero`, a line at 0."""
    ends = [each for bar in bars for each in (bar.value, bar.low, bar.high) if each is not None]
    low, high = min(ends), max(ends)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    span = high - low or 1.0
    # What is never below 0 has no axis that is.
    low, high = low - 0.05 * span if low < 0 else max(low - 0.05 * span, 0.0), high + 0.05 * span

    def x(value: float) -> float:
        return _LEFT + _PLOT * (value - low) / (high - low)

    parts = _axis(low, high, len(bars))
    if zero:
        parts.append(
            f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="0" y2="{_base(len(bars)):.0f}"/>'
        )
    for at, bar in enumerate(bars):
        y = _TOP + _ROW * (at + 0.5)
        parts.append(_label(bar.label, y))
        if bar.low is not None and bar.high is not None:
            parts.append(
                f'<line class="{bar.kind}" x1="{x(bar.low):.1f}" x2="{x(bar.high):.1f}" y1="{y}" y2="{y}"/>'
            )
        parts.append(f'<circle class="{bar.kind}" cx="{x(bar.value):.1f}" cy="{y}" r="4.5"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT + 10}" y="{y + 4}">{escape(bar.text)}</text>')
    return _svg(parts, len(bars), title)


def bars(values: Sequence[Bar], *, title: str) -> str:
    """A bar from 0 for each value."""
    most = max((bar.value for bar in values), default=0.0) or 1.0
    parts = []
    for at, bar in enumerate(values):
        y = _TOP + _ROW * at
        width = _PLOT * max(bar.value, 0.0) / most
        parts.append(_label(bar.label, y + _ROW / 2))
        parts.append(
            f'<rect class="{bar.kind}" x="{_LEFT}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 6}"/>'
        )
        parts.append(f'<text x="{_LEFT + width + 6:.1f}" y="{y + _ROW / 2 + 4}">{escape(bar.text)}</text>')
    return _svg(parts, len(values), title, axis=False)


def _axis(low: float, high: float, rows: int) -> list[str]:
    base = _base(rows)
    parts = [f'<line class="axis" x1="{_LEFT}" x2="{_LEFT + _PLOT}" y1="{base}" y2="{base}"/>']
    for share in (0.0, 0.5, 1.0):
        value = low + share * (high - low)
        parts.append(f'<text class="tick" x="{_LEFT + _PLOT * share:.0f}" y="{base + 16}">{value:.3g}</text>')
    return parts


def _label(text: str, y: float) -> str:
    shown = text if len(text) <= _MOST_LABEL else f"{text[: _MOST_LABEL - 1]}…"
    return f'<text class="label" x="{_LEFT - 10}" y="{y + 4}">{escape(shown)}</text>'


def _base(rows: int) -> float:
    return _TOP + _ROW * rows


def _svg(parts: Sequence[str], rows: int, title: str, *, axis: bool = True) -> str:
    height = _base(rows) + (_BOTTOM if axis else 6)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
