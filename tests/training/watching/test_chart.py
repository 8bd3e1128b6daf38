"""The chart in characters: every line as wide as asked, losses where they belong, peaks at the edge."""

import math

from hypothesis import example, given
from hypothesis import strategies as st

from parfocal.training.watching import draw_chart

LOSSES = st.lists(st.tuples(st.integers(0, 1000), st.floats(allow_nan=True)), max_size=30)


@example(learnt=[(0, float("inf")), (900, 1.0), (901, 1.0)], scored=[], base=None, width=40, height=5)
@example(learnt=[], scored=[(0, -1e300)], base=None, width=40, height=5)
@example(learnt=[(0, -1e308), (1, 1e308)], scored=[], base=None, width=40, height=5)
@given(LOSSES, LOSSES, st.none() | st.floats(0, 10), st.integers(1, 120), st.integers(1, 20))
def test_whatever_the_losses_the_chart_keeps_to_its_room(
    learnt: list[tuple[int, float]],
    scored: list[tuple[int, float]],
    base: float | None,
    width: int,
    height: int,
) -> None:
    lines = draw_chart(learnt, scored, base, width, height)

    assert len(lines) in (0, height + 2)
    assert all(len(line) == width for line in lines[:-1])


def test_a_falling_loss_goes_from_the_upper_left_to_the_lower_right() -> None:
    lines = draw_chart([], [(0, 4.0), (50, 2.0), (100, 0.0)], None, 49, 9)
    places = [(index, line.index("●")) for index, line in enumerate(lines[:9]) if "●" in line]

    assert places == [(0, 8), (4, 28), (8, 48)]


def test_the_base_is_a_line_and_the_scale_shows_both_ends() -> None:
    lines = draw_chart([(1, 1.0), (9, 0.5)], [], 3.0, 40, 5)

    assert lines[0].count("╌") == 32
    assert lines[0].split("│")[0].strip() == "3"
    assert lines[4].split("│")[0].strip() == "0"
    assert "base alone" in lines[-1]


def test_one_peak_does_not_flatten_the_rest() -> None:
    quiet = [(step, 1.0 + step % 2) for step in range(200)]
    lines = draw_chart([*quiet, (200, 1e6)], [], None, 60, 6)

    assert lines[0].split("│")[0].strip() == "2"


def test_nothing_is_drawn_of_nothing() -> None:
    assert draw_chart([], [], 2.0, 60, 6) == []
    assert draw_chart([(1, math.nan)], [], None, 60, 6) == []
