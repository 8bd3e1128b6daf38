"""Which requests a canary takes, and what it and its guards may be."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry import (
    Canary,
    CanaryComparison,
    CanaryEnd,
    CanaryPlan,
    Guard,
    GuardedMetric,
    InvalidCanary,
)
from parfocal.registry.values import CanaryOutcome, bucket_of

WHEN = datetime(2026, 11, 27, tzinfo=UTC)
METRICS = st.sampled_from(GuardedMetric)
WEIGHTS = st.integers(1, 9999)


def canary(weight: int, version: int = 4) -> Canary:
    return Canary("team/x", "prod", CanaryPlan(version, weight), "sha256:" + "a" * 64, 7, "", WHEN)


@given(st.text(max_size=40), WEIGHTS, WEIGHTS)
def test_a_canary_that_grows_keeps_the_keys_that_it_has(key: str, one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert canary(large).takes(key) or not canary(small).takes(key)


def test_which_requests_a_canary_takes_never_changes() -> None:
    """What another implementation, or the next release, must answer too."""
    keys = ("", "user-1", "user-2", "Grüße")
    assert [bucket_of("team/x", "prod", 4, key) for key in keys] == [1929, 3509, 1924, 1282]


@pytest.mark.parametrize("weight", [25, 1000, 5000, 9900])
def test_a_canary_takes_as_many_requests_as_its_weight_says(weight: int) -> None:
    taken = sum(canary(weight).takes(f"request-{number}") for number in range(20_000))
    expected = 20_000 * weight / 10_000
    assert abs(taken - expected) < 5 * (expected * (1 - weight / 10_000)) ** 0.5


def test_the_next_canary_draws_its_keys_anew() -> None:
    keys = [f"user-{number}" for number in range(1000)]
    first = {key for key in keys if canary(2000).takes(key)}
    second = {key for key in keys if canary(2000, version=5).takes(key)}
    assert len(first & second) < len(first) / 2


@given(
    st.integers(1, 1000),
    WEIGHTS,
    st.lists(
        st.builds(Guard, METRICS, st.floats(0, 100), st.integers(20, 1000)),
        unique_by=lambda guard: guard.metric,
    ),
)
def test_a_plan_is_read_back_as_it_was_written(version: int, weight: int, guards: list[Guard]) -> None:
    plan = CanaryPlan(version, weight, tuple(guards))
    assert CanaryPlan.parse(plan.text_of("sha256:1")) == (plan, "sha256:1")


NUMBERS = st.floats(-1e6, 1e6)


@given(
    st.lists(
        st.builds(
            CanaryComparison,
            METRICS,
            NUMBERS,
            NUMBERS,
            st.integers(0, 10**9),
            st.integers(0, 10**9),
            NUMBERS,
            NUMBERS,
            NUMBERS,
            NUMBERS,
            NUMBERS,
        ),
        max_size=3,
    )
)
def test_an_end_is_read_back_as_it_was_written(found: list[CanaryComparison]) -> None:
    end = CanaryEnd(2, 500, 9, CanaryOutcome.ABORTED, tuple(found))
    assert CanaryEnd.parse(end.to_text()) == end


def test_guards_are_spelt_as_people_say_them() -> None:
    assert Guard.parse("errors") == Guard(GuardedMetric.ERRORS)
    assert Guard.parse("ttft+20%", 50) == Guard(GuardedMetric.TTFT, 0.2, 50)
    assert Guard.parse("tokens+0.1") == Guard(GuardedMetric.TOKENS, 0.1)


@pytest.mark.parametrize(
    ("text", "told"),
    [("latency", "errors, ttft, tokens"), ("errors+x", "METRIC.0.02"), ("errors+-1", "0 to 100")],
)
def test_a_guard_that_nobody_knows_is_refused(text: str, told: str) -> None:
    with pytest.raises(InvalidCanary, match=told):
        Guard.parse(text)


@pytest.mark.parametrize("weight", [0, 10_000, -5])
def test_all_or_nothing_is_no_canary(weight: int) -> None:
    with pytest.raises(InvalidCanary, match=r"0\.01 % to 99\.99 %"):
        CanaryPlan(2, weight)


def test_a_guard_judges_after_some_requests_only() -> None:
    with pytest.raises(InvalidCanary, match="20 to 1000000"):
        Guard(GuardedMetric.ERRORS, samples=19)


def test_two_guards_for_one_metric_are_refused() -> None:
    with pytest.raises(InvalidCanary, match="two guards"):
        CanaryPlan(2, 100, (Guard(GuardedMetric.TTFT), Guard(GuardedMetric.TTFT, 0.5)))


def test_a_canary_whose_answers_are_too_short_is_worse_too() -> None:
    def found(metric: GuardedMetric) -> CanaryComparison:
        return CanaryComparison(metric, 0.1, 0.95, 100, 100, 10, 40, -0.75, -0.8, -0.6)

    assert found(GuardedMetric.TOKENS).is_worse
    assert not found(GuardedMetric.TTFT).is_worse


def test_a_comparison_of_no_numbers_is_refused() -> None:
    with pytest.raises(InvalidCanary):
        CanaryComparison(GuardedMetric.TTFT, 0.1, 0.95, 1, 1, 1, 1, float("nan"), 0, 0)
