"""Intervals of rates and of their differences: known values, and what holds of all of them."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.training.intervals import Verdict, exact_p_value, rate_difference, wilson

ANSWERS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"),
    [(0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)],
)
def test_the_interval_of_a_rate_is_that_of_the_books(right: int, asked: int, low: float, high: float) -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3; the first by Wilson's formula."""
    found = wilson(right, asked)

    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_ends_of_a_rates_interval_are_where_the_score_test_rejects(rate: tuple[int, int]) -> None:
    right, asked = rate
    found = wilson(right, asked)
    z = NormalDist().inv_cdf(0.975)

    assert 0 <= found.low <= right / asked <= found.high <= 1
    for end in (found.low, found.high):
        if 0 < end < 1:
            assert abs(right / asked - end) == pytest.approx(z * math.sqrt(end * (1 - end) / asked), abs=1e-9)


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_exact_test_counts_all_outcomes_as_far_apart(one: int, other: int) -> None:
    total = one + other
    far = [k for k in range(total + 1) if abs(2 * k - total) >= abs(one - other)]
    share = sum(math.comb(total, k) for k in far) / 2**total

    assert exact_p_value(one, other) == pytest.approx(share)


def test_the_difference_of_paired_rates_is_newcombes() -> None:
    """Newcombe 1998, Statistics in Medicine 17:2635, table II: 36 both, 12 and 2 one alone, method 10."""
    pairs = [(True, True)] * 36 + [(True, False)] * 12 + [(False, True)] * 2
    found = rate_difference([one for one, _ in pairs], [other for _, other in pairs])

    assert found.value == pytest.approx(0.2)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.0569, 0.3404), abs=1e-4)
    assert found.p_value == pytest.approx(2 * sum(math.comb(14, k) for k in (12, 13, 14)) / 2**14)
    assert found.verdict() is Verdict.BETTER


@given(ANSWERS)
def test_better_is_said_only_where_the_exact_test_says_so_too(pairs: list[tuple[bool, bool]]) -> None:
    found = rate_difference([one for one, _ in pairs], [other for _, other in pairs])

    assert found.p_value is not None
    if found.verdict() is not Verdict.UNCLEAR:
        assert found.p_value <= 0.05
    assert found.interval.low <= found.value <= found.interval.high


@given(ANSWERS)
def test_seen_from_the_other_model_a_difference_is_the_negative(pairs: list[tuple[bool, bool]]) -> None:
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    there, back = rate_difference(first, second), rate_difference(second, first).negated()

    assert back.value == pytest.approx(there.value)
    assert (back.interval.low, back.interval.high) == pytest.approx((there.interval.low, there.interval.high))


def test_equal_answers_to_few_questions_do_not_prove_equality() -> None:
    found = rate_difference([True] * 10, [True] * 10)

    assert found.interval.low < -0.2 and found.interval.high > 0.2


def test_fewer_than_six_questions_can_show_nothing() -> None:
    assert rate_difference([True] * 5, [False] * 5).verdict() is Verdict.UNCLEAR
    assert rate_difference([True] * 5, [False] * 5).detectable is None
    assert rate_difference([True] * 6, [False] * 6).verdict() is Verdict.BETTER


def test_three_points_need_about_a_thousand_questions() -> None:
    """At 80 % power, where one question in nine is answered differently."""
    first = [True] * 885 + [True] * 58 + [False] * 57
    second = [True] * 885 + [False] * 58 + [True] * 57

    assert rate_difference(first, second).detectable == pytest.approx(0.03, abs=0.001)
