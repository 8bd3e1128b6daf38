"""Draws the losses of a run in characters. Knows no terminal."""

import math
from collections.abc import Sequence

Points = Sequence[tuple[int, float]]

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, by row and column
_FAR = 1e9
_EMPTY = 0x2800
_AXIS = 8  # characters for the numbers at the left
_SCORE = "●"
_BASE = "╌"
_MOST = 0.98  # the part of the training losses that decides the scale: one peak must not flatten the rest


def draw_chart(learnt: Points, scored: Points, base: float | None, width: int, height: int) -> list[str]:
    """`height` lines of `width` characters and a legend: losses by step, from the first step to the last.

    Fine dots are the training rows' losses, ● the losses of rows that are not learnt, ╌ the base alone on
    these. What is above the scale is drawn at its upper edge. Nothing to draw gives no lines.
    """
    points = [point for point in (*learnt, *scored) if math.isfinite(point[1])]
    columns = width - _AXIS
    if not points or columns < 8 or height < 2:
        return []
    steps = [step for step, loss in (*learnt, *scored) if not math.isnan(loss)]
    first, last = min(steps), max(steps)
    low, high = _scale(learnt, scored, base)
    if not math.isfinite(high - low):
        return []
    canvas = _Canvas(columns, height, (first, max(last, first + 1)), (low, high))
    if base is not None:
        canvas.line(base)
    for step, loss in learnt:
        canvas.dot(step, loss)
    for step, loss in scored:
        canvas.mark(step, loss)
    rows = canvas.rows()
    labels = {0: _number(high), height - 1: _number(low)}
    lines = [f"{labels.get(index, ''):>{_AXIS - 2}} │{row}" for index, row in enumerate(rows)]
    begins = f"step {first}"
    lines.append((" " * (_AXIS - 1) + "└" + begins + f"{last}".rjust(columns - len(begins)))[:width])
    legend = f"⠒ training  {_SCORE} not learnt" + (f"  {_BASE} base alone" if base is not None else "")
    return [*lines, " " * _AXIS + legend]


class _Canvas:
    def __init__(
        self, columns: int, height: int, steps: tuple[int, int], losses: tuple[float, float]
    ) -> None:
        self._columns, self._height = columns, height
        self._steps, self._losses = steps, losses
        self._cells = [[0] * columns for _ in range(height)]
        self._marks: dict[tuple[int, int], str] = {}

    def dot(self, step: int, loss: float) -> None:
        x, y = self._x(step, 2), self._y(loss, 4)
        if y is not None:
            self._cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]

    def mark(self, step: int, loss: float) -> None:
        y = self._y(loss, 1)
        if y is not None:
            self._marks[y, self._x(step, 1)] = _SCORE

    def line(self, loss: float) -> None:
        y = self._y(loss, 1)
        if y is not None:
            for x in range(self._columns):
                self._marks.setdefault((y, x), _BASE)

    def rows(self) -> list[str]:
        return [
            "".join(self._character(y, x, cell) for x, cell in enumerate(row))
            for y, row in enumerate(self._cells)
        ]

    def _character(self, y: int, x: int, cell: int) -> str:
        mark = self._marks.get((y, x))
        if mark == _SCORE or (mark and not cell):
            return str(mark)
        return chr(_EMPTY + cell) if cell else " "

    def _x(self, step: int, fine: int) -> int:
        first, last = self._steps
        return round((step - first) / (last - first) * (self._columns * fine - 1))

    def _y(self, loss: float, fine: int) -> int | None:
        if math.isnan(loss):
            return None
        low, high = self._losses
        part = min(1.0, max(0.0, (high - loss) / (high - low)))
        return round(part * (self._height * fine - 1))


def _number(value: float) -> str:
    """Three digits, or as many as fit beside the axis."""
    texts = [f"{value:.{digits}g}" for digits in (3, 2, 1)]
    return next((text for text in texts if len(text) <= _AXIS - 2), texts[-1][: _AXIS - 2])


def _scale(learnt: Points, scored: Points, base: float | None) -> tuple[float, float]:
    usual = sorted(loss for _, loss in learnt if math.isfinite(loss))
    known = [loss for _, loss in scored if math.isfinite(loss)]
    known += [base] if base is not None and math.isfinite(base) else []
    known += [usual[0], usual[int(_MOST * (len(usual) - 1))]] if usual else []
    # Far beyond what a loss can be, and still so that one more is another number.
    low, high = max(min(0.0, *known), -_FAR), min(max(known), _FAR)
    return low, high if high > low else low + 1.0
