"""Intervals by resampling: what clusters do, how often they hold the truth, and what few rows allow."""

import random
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal.training.intervals import (
    Resamples,
    Verdict,
    compare,
    compare_measures,
    estimate,
    estimate_measure,
)
from parfocal.training.intervals.distributions import incomplete_beta, normal_tail, t_quantile

SCORES = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=40)
quick = settings(max_examples=30, deadline=None)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.3027), (5, 2.5706), (30, 2.0423), (1000, 1.9623)]
)
def test_the_quantiles_of_students_t_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(quantile, abs=1e-4)


@quick
@given(st.floats(0.1, 50), st.floats(0.1, 50), st.floats(1e-6, 0.999))
def test_the_incomplete_beta_is_symmetric(a: float, b: float, x: float) -> None:
    assert incomplete_beta(a, b, x) + incomplete_beta(b, a, 1 - x) == pytest.approx(1)


def test_the_normal_tail_is_exact_far_out() -> None:
    assert normal_tail(-1.959964) == pytest.approx(0.025, abs=1e-7)
    assert normal_tail(-8) == pytest.approx(6.22e-16, rel=1e-3)


@quick
@given(SCORES)
def test_an_interval_holds_its_mean_and_is_the_same_each_time(scores: list[float]) -> None:
    found = estimate(scores, Resamples(range(len(scores))), within=(0, 1))

    assert found == estimate(scores, Resamples(range(len(scores))), within=(0, 1))
    assert found.interval is not None
    assert -1e-9 <= found.interval.low - 1e-9 <= found.value <= found.interval.high + 1e-9 <= 1 + 2e-9


@quick
@given(SCORES, st.integers(2, 4))
def test_rows_said_twice_in_one_cluster_say_no_more(scores: list[float], copies: int) -> None:
    once = Resamples(range(len(scores))).mean(scores)
    again = Resamples([at for at in range(len(scores)) for _ in range(copies)]).mean(
        [score for score in scores for _ in range(copies)]
    )

    assert once[1] is not None and again[1] is not None
    assert (again[1].low, again[1].high) == pytest.approx((once[1].low, once[1].high), abs=1e-6)


def test_rows_of_one_question_are_not_taken_for_independent() -> None:
    alike = [float(at % 2) for at in range(20) for _ in range(10)]
    apart = estimate(alike, Resamples(range(200))).interval
    together = estimate(alike, Resamples([at for at in range(20) for _ in range(10)])).interval

    assert apart is not None and together is not None
    assert together.high - together.low > 2 * (apart.high - apart.low)


@pytest.mark.parametrize(("rows", "least"), [(6, 0.85), (15, 0.90), (60, 0.92)])
def test_about_nineteen_intervals_in_twenty_hold_the_truth(rows: int, least: float) -> None:
    draw = random.Random(1)
    held = 0
    resamples = Resamples(range(rows))
    for _ in range(120):
        scores = [draw.expovariate(1) for _ in range(rows)]
        interval = resamples.mean(scores)[1]
        assert interval is not None
        held += interval.low <= 1 <= interval.high

    assert held / 120 >= least


def test_the_least_that_could_be_told_is_told_four_times_in_five() -> None:
    draw = random.Random(2)
    noise = [draw.gauss(0, 1) for _ in range(100)]
    rows = Resamples(range(100))
    detectable = compare(noise, [0.0] * 100, rows).detectable
    assert detectable is not None
    told = 0
    for _ in range(80):
        one = [draw.gauss(detectable, statistics.stdev(noise)) for _ in range(100)]
        told += compare(one, [0.0] * 100, rows).is_higher

    assert 0.7 <= told / 80 <= 0.92


def test_fewer_than_six_questions_prove_nothing() -> None:
    higher, lower = [0.9, 0.8, 0.9, 0.95, 0.85], [0.1] * 5

    assert compare(higher, lower, Resamples(range(5))).verdict() is Verdict.UNCLEAR
    assert compare(higher, lower, Resamples(range(5))).detectable is None
    assert compare([*higher, 0.9], [*lower, 0.2], Resamples(range(6))).verdict() is Verdict.BETTER
    assert compare([0.9] * 30, [0.1] * 30, Resamples([0] * 30)).verdict() is Verdict.UNCLEAR


def test_of_one_question_a_mean_has_no_interval() -> None:
    assert estimate([0.5], Resamples([0])).interval is None


def test_a_lower_loss_is_better() -> None:
    losses = [1.0 + at / 100 for at in range(20)]
    lower = compare(
        [loss - 0.5 - (at % 3) / 100 for at, loss in enumerate(losses)], losses, Resamples(range(20))
    )

    assert lower.verdict(higher_is_better=False) is Verdict.BETTER
    assert lower.negated().verdict() is Verdict.BETTER


@quick
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=6, max_size=30))
def test_a_figure_that_is_a_mean_is_compared_as_one(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array([float(pair[at]) for pair in pairs]) for at in (0, 1))
    rows = Resamples([at // 2 for at in range(len(pairs))])
    whole = compare_measures(
        lambda weights: float((weights * first).sum() / weights.sum()),
        lambda weights: float((weights * second).sum() / weights.sum()),
        rows,
    )

    assert whole.value == pytest.approx(compare(first.tolist(), second.tolist(), rows).value)
    assert estimate_measure(lambda weights: float((weights * first).sum() / weights.sum()), rows).value == (
        pytest.approx(first.mean())
    )
