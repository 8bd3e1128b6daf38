"""Intervals that hold whenever somebody looks, and what they say of two versions."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry import Guard, GuardedMetric
from parfocal.server.canaries import Ended, Measured
from parfocal.server.canaries.intervals import Moments, always_valid_z, ratio_of_means, share_difference
from parfocal.server.canaries.measured import compared

Draw = Callable[[random.Random], Ended]
ERRORS, TTFT, TOKENS = (Guard(metric) for metric in GuardedMetric)


def answered(first_token_s: float = 0.1, tokens: int = 20) -> Ended:
    return Ended(False, first_token_s, tokens)


def aborted_after(canary: Draw, stable: Draw, guards: tuple[Guard, ...], seed: int, most: int) -> int | None:
    """After how many requests a canary of a tenth is aborted, looked at after each; None for never."""
    rng = random.Random(seed)
    ours, theirs = Measured(), Measured()
    for count in range(1, most + 1):
        if rng.random() >= 0.1:
            theirs.add(stable(rng))
            continue
        ours.add(canary(rng))
        if any(found.is_worse for found in compared(ours, theirs, guards)):
            return count
    return None


def failing(share: float) -> Draw:
    return lambda rng: Ended(True) if rng.random() < share else answered()


def slow(factor: float) -> Draw:
    return lambda rng: answered(factor * rng.lognormvariate(-2, 0.7))


@pytest.mark.parametrize(
    ("same", "guard"), [(failing(0.02), ERRORS), (failing(0.3), ERRORS), (slow(1.0), TTFT)]
)
def test_a_canary_that_is_no_worse_is_hardly_ever_aborted_however_often_it_is_looked_at(
    same: Draw, guard: Guard
) -> None:
    """Of 60 at most one in twenty is due; an ordinary interval would abort a quarter of them."""
    ended = [aborted_after(same, same, (guard,), seed, 3000) for seed in range(60)]
    assert sum(each is not None for each in ended) <= 3


@pytest.mark.parametrize(
    ("worse", "stable", "guard", "most"),
    [
        (failing(1.0), failing(0.0), ERRORS, 800),
        (failing(0.15), failing(0.01), ERRORS, 3000),
        (slow(2.0), slow(1.0), TTFT, 2000),
    ],
)
def test_a_canary_that_is_worse_is_aborted(worse: Draw, stable: Draw, guard: Guard, most: int) -> None:
    assert all(aborted_after(worse, stable, (guard,), seed, most) is not None for seed in range(10))


def test_nothing_is_judged_before_both_have_enough_requests() -> None:
    ours, theirs = Measured(), Measured()
    for count in range(1, 51):
        ours.add(Ended(True))
        theirs.add(answered())
        assert bool(compared(ours, theirs, (ERRORS,))) == (count == 50)
    (found,) = compared(ours, theirs, (ERRORS,))
    assert (found.is_worse, found.canary_requests, found.canary_value, found.difference) == (
        True,
        50,
        1.0,
        1.0,
    )


def test_a_margin_lets_pass_what_is_a_little_worse() -> None:
    ours, theirs = Measured(), Measured()
    for _ in range(400):
        ours.add(answered(0.11))
        theirs.add(answered(0.1))
    tight, wide = Guard(GuardedMetric.TTFT, 0.05), Guard(GuardedMetric.TTFT, 0.2)
    assert [each.is_worse for each in compared(ours, theirs, (tight,))] == [True]
    (found,) = compared(ours, theirs, (wide,))
    assert not found.is_worse
    assert found.difference == pytest.approx(0.1)
    assert found.canary_value == pytest.approx(0.11)
    assert found.stable_value == pytest.approx(0.1)


@pytest.mark.parametrize(("tokens", "worse"), [(5, True), (20, False), (80, True)])
def test_answers_that_are_much_shorter_or_longer_are_worse(tokens: int, worse: bool) -> None:
    ours, theirs = Measured(), Measured()
    for length in range(100):
        ours.add(answered(tokens=tokens + length % 3))
        theirs.add(answered(tokens=20 + length % 3))
    (found,) = compared(ours, theirs, (Guard(GuardedMetric.TOKENS, 0.3),))
    assert found.is_worse == worse


def test_each_of_several_guards_has_its_part_of_the_chance_to_be_wrong() -> None:
    ours, theirs = Measured(), Measured()
    for _ in range(50):
        ours.add(answered())
        theirs.add(answered())
    alone = compared(ours, theirs, (ERRORS,))
    three = compared(ours, theirs, (ERRORS, TTFT, TOKENS))
    assert [each.confidence for each in three] == [pytest.approx(1 - 0.05 / 3)] * 3
    assert three[0].high > alone[0].high


@given(st.integers(20, 10**6), st.integers(20, 10**6), st.integers(20, 1000))
def test_an_interval_that_always_holds_is_wider_than_an_ordinary_one(
    one: int, other: int, first: int
) -> None:
    assert always_valid_z(one, other, first, 0.05) > 1.96


@given(st.integers(1, 500), st.integers(1, 500), st.data())
def test_the_difference_of_shares_lies_in_its_interval(of: int, others: int, data: st.DataObject) -> None:
    hits, other = data.draw(st.integers(0, of)), data.draw(st.integers(0, others))
    found = share_difference((hits, of), (other, others), 3.0)
    assert -1 <= found.low <= found.value <= found.high <= 1
    back = share_difference((other, others), (hits, of), 3.0)
    assert back.low == pytest.approx(-found.high)
    assert back.high == pytest.approx(-found.low)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=50))
def test_moments_are_those_of_all_numbers_at_once(numbers: list[float]) -> None:
    moments = Moments()
    for number in numbers:
        moments.add(number)
    mean = sum(numbers) / len(numbers)
    variance = sum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1)
    assert moments.mean == pytest.approx(mean, abs=1e-9)
    assert moments.variance == pytest.approx(variance, abs=1e-9)


def test_a_ratio_of_means_is_that_of_the_geometric_means() -> None:
    one, other = Moments(), Moments()
    for value in (1.0, 4.0):
        one.add(math.log(value))
        other.add(math.log(2 * value))
    assert ratio_of_means(other, one, 3.0).value == pytest.approx(1.0)
