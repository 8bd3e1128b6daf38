"""Plots of a search as inline SVG: each trial's losses on its way, and all settings side by side."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from parfocal.training.search import Choices, Found, Outcome, Range, Space, Trial, shown

_WIDTH, _HEIGHT = 520, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 12, 34
_LABELS = 78  # beside the last axis of the settings
_MOST_TIMES = 1000.0  # a loss further above the best than so many times the best is drawn at the edge
_LOG_FROM = 4.0  # how far losses must be apart for their logarithm to be plotted

Scale = Callable[[float], float]


def loss_curves(found: Found) -> str:
    """The validation loss of every trial over the part of its way; dashed: those that ended early."""
    drawn = [each for each in found.trials if each.curve]
    losses = [point.loss for each in drawn for point in each.curve if math.isfinite(point.loss)]
    if not losses:
        return ""
    low, high = min(losses), min(max(losses), _MOST_TIMES * max(min(losses), 1e-3))
    if found.base_loss is not None:
        high = max(high, min(found.base_loss, _MOST_TIMES * max(low, 1e-3)))
    y = _scale(low, high, log=low > 0 and high > _LOG_FROM * low)
    parts = [_axis_y(low, high, y), _axis_x()]
    if found.base_loss is not None and found.base_loss <= high:
        parts.append(_line([(0.0, y(found.base_loss)), (1.0, y(found.base_loss))], "zero", "the base alone"))
    best = found.best
    for trial in sorted(drawn, key=lambda each: best is not None and each.number == best.number):
        end = trial.curve[-1].steps
        points = [(point.step / end, y(min(point.loss, high))) for point in trial.curve]
        parts.append(_trial(points, trial, best))
    return _svg(parts, "validation loss over the part of each trial's way")


def settings_and_loss(found: Found, space: Space) -> str:
    """One line for each trial through what it was drawn on every axis, to its loss on the last."""
    drawn = [each for each in found.trials if each.loss is not None and math.isfinite(each.loss)]
    if not drawn:
        return ""
    losses = [each.loss for each in drawn if each.loss is not None]
    low, high = min(losses), max(losses)
    loss_y = _scale(low, high, log=low > 0 and high > _LOG_FROM * low)
    places: dict[str, Callable[[Any], float]] = {name: _place(dimension) for name, dimension in space.items()}
    width = (_WIDTH - _LEFT - _LABELS) / max(1, len(space))
    parts: list[str] = []
    best = found.best
    for trial in sorted(drawn, key=lambda each: best is not None and each.number == best.number):
        through = [(name, trial.settings[name]) for name in space if name in trial.settings]
        points = [(at * width, places[name](value)) for at, (name, value) in enumerate(through)]
        assert trial.loss is not None
        points.append((len(space) * width, loss_y(trial.loss)))
        spread = [(x / (_WIDTH - _LEFT - _RIGHT), y) for x, y in points]
        parts.append(_trial(spread, trial, best, dots=False))
    for at, (name, dimension) in enumerate(space.items()):
        parts.append(_upright(_LEFT + at * width, name, _ticks(dimension, places[name])))
    ticks = [(loss_y(value), f"{value:.3g}") for value in dict.fromkeys((low, high))]
    parts.append(_upright(_LEFT + len(space) * width, "loss", ticks, right=True))
    return _svg(parts, "what each trial was drawn, and its loss")


def _trial(
    points: Sequence[tuple[float, float]], trial: Trial, best: Trial | None, *, dots: bool = True
) -> str:
    is_best = best is not None and trial.number == best.number
    kind = "best" if is_best else "trial" if trial.outcome is Outcome.FINISHED else "cut"
    said = f"trial {trial.number}: {trial.line()}"
    marks = "".join(
        f'<circle class="{kind}" cx="{_x(x):.1f}" cy="{y:.1f}" r="{3 if is_best else 2}"/>' for x, y in points
    )
    return _line(points, kind, said) + (marks if dots else "")


def _line(points: Sequence[tuple[float, float]], kind: str, said: str) -> str:
    places = " ".join(f"{_x(x):.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{kind}" points="{places}"><title>{escape(said)}</title></polyline>'


def _x(part: float) -> float:
    return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)


def _scale(low: float, high: float, *, log: bool) -> Scale:
    """From a value to its height in the plot; the lowest is at the bottom."""
    room = _HEIGHT - _TOP - _BOTTOM

    def part(value: float) -> float:
        if high <= low:
            return 0.5
        if log:
            return math.log(max(value, low) / low) / math.log(high / low)
        return (value - low) / (high - low)

    return lambda value: _TOP + room * (1 - part(value))


def _place(dimension: Range | Choices) -> Callable[[Any], float]:
    if isinstance(dimension, Range):
        return _scale(dimension.low, dimension.high, log=dimension.log)
    order: Mapping[Any, int] = {value: at for at, value in enumerate(dimension.values)}
    height = _scale(0, len(order) - 1, log=False)
    return lambda value: height(order[value])


def _ticks(dimension: Range | Choices, place: Callable[[Any], float]) -> list[tuple[float, str]]:
    return [(place(value), shown(value)) for value in dimension.ends()]


def _upright(x: float, name: str, ticks: Sequence[tuple[float, str]], *, right: bool = False) -> str:
    """An axis that stands, with its name below it."""
    base = _HEIGHT - _BOTTOM
    parts = [f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{base}"/>']
    for y, text in ticks:
        where = f'x="{x + 6:.1f}"' if right else f'class="label" x="{x - 6:.1f}"'
        parts.append(f'<text {where} y="{y + 4:.1f}">{escape(text)}</text>')
    parts.append(f'<text class="tick" x="{x:.1f}" y="{base + 20}">{escape(name.replace("_", " "))}</text>')
    return "".join(parts)


def _axis_y(low: float, high: float, y: Scale) -> str:
    base = _HEIGHT - _BOTTOM
    middle = math.sqrt(low * high) if low > 0 and high > _LOG_FROM * low else (low + high) / 2
    parts = [f'<line class="axis" x1="{_LEFT}" x2="{_LEFT}" y1="{_TOP}" y2="{base}"/>']
    for value in dict.fromkeys((low, middle, high)):
        parts.append(f'<text class="label" x="{_LEFT - 6}" y="{y(value) + 4:.1f}">{value:.3g}</text>')
    return "".join(parts)


def _axis_x() -> str:
    base = _HEIGHT - _BOTTOM
    ends = "".join(
        f'<text class="tick" x="{_x(part):.1f}" y="{base + 18}">{part:.0%}</text>' for part in (0.0, 0.5, 1.0)
    )
    return f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>{ends}'


def _svg(parts: Sequence[str], title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
