"""What two readings of a metrics page say together."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.looks import page, serving
from parfocal.cli.monitoring import History, Quantiles, figures_between
from parfocal.cli.monitoring.figures import quantile
from parfocal.cli.monitoring.look import reachable

TTFT = "parfocal_time_to_first_token_seconds"
TOKENS = "parfocal_generated_tokens_total"


def test_rates_are_differences_over_the_time_between() -> None:
    before = page({TOKENS: 100, "parfocal_prompt_tokens_total": 50})
    now = page({TOKENS: 300, "parfocal_prompt_tokens_total": 60})
    figures = figures_between(now, before, 4.0)

    assert (figures.tokens_per_s, figures.prompt_tokens_per_s) == (50.0, 2.5)


def test_the_first_reading_has_no_rates_and_the_quantiles_of_the_servers_life() -> None:
    now = page(
        {f'{TTFT}_bucket{{le="1.0"}}': 0, f'{TTFT}_bucket{{le="2.0"}}': 4, f'{TTFT}_bucket{{le="+Inf"}}': 4}
    )
    figures = figures_between(now, None, None)

    assert figures.tokens_per_s is None
    assert figures.first_token == Quantiles(1.5, 1.99)


def test_quantiles_are_of_what_was_observed_between() -> None:
    before = page({f'{TTFT}_bucket{{le="1.0"}}': 90, f'{TTFT}_bucket{{le="+Inf"}}': 90})
    now = page({f'{TTFT}_bucket{{le="1.0"}}': 90, f'{TTFT}_bucket{{le="+Inf"}}': 91})

    assert figures_between(now, before, 1.0).first_token == Quantiles(1.0, 1.0)
    assert figures_between(now, now, 1.0).first_token is None


def test_errors_are_counted_by_reason_and_good_ends_are_not_errors() -> None:
    name = "parfocal_requests_total"
    before = page({f'{name}{{outcome="queue_full"}}': 1})
    now = page(
        {
            f'{name}{{outcome="queue_full"}}': 2,
            f'{name}{{outcome="step_failed",adapter="a"}}': 2,
            f'{name}{{outcome="step_failed",adapter="b"}}': 1,
            f'{name}{{outcome="stop"}}': 9,
            f'{name}{{outcome="deadline"}}': 0,
        }
    )

    assert dict(figures_between(now, before, 1.0).errors) == {"step_failed": 3, "queue_full": 1}


def test_a_server_begun_anew_is_not_taken_for_negative_work() -> None:
    figures = figures_between(page({TOKENS: 5}), page({TOKENS: 500}), 1.0)

    assert (figures.tokens_per_s, figures.window_s) == (None, None)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.floats(0.01, 0.99))
def test_a_quantile_lies_in_the_bucket_that_holds_it(counts: list[int], share: float) -> None:
    bounds = [*map(float, range(1, len(counts))), math.inf]
    cumulative = [sum(counts[: place + 1]) for place in range(len(counts))]
    found = quantile(share, list(zip(bounds, map(float, cumulative), strict=True)))

    if not cumulative[-1]:
        assert found is None
        return
    place = next(place for place, count in enumerate(cumulative) if count >= share * cumulative[-1])
    assert found is not None
    assert place <= found <= min(bounds[place], len(counts) - 1) or bounds[place] == math.inf


def test_rates_follow_the_last_look_and_quantiles_the_last_minute() -> None:
    history = History(window_s=60.0)
    bucket, every = f'{TTFT}_bucket{{le="1.0"}}', f'{TTFT}_bucket{{le="+Inf"}}'
    history.add(serving(0.0, {TOKENS: 0, bucket: 0, every: 0}))
    history.add(serving(10.0, {TOKENS: 1000, bucket: 10, every: 10}))
    view = history.add(serving(20.0, {TOKENS: 1010, bucket: 10, every: 10}))

    assert view.figures is not None
    assert (view.figures.tokens_per_s, view.figures.window_s) == (1.0, 20.0)
    assert view.figures.first_token == Quantiles(0.5, 0.99)
    assert view.tokens_per_s == (0.0, 100.0, 1.0)
    late = history.add(serving(75.0, {TOKENS: 1010, bucket: 10, every: 10}))
    assert late.figures is not None
    # The first two looks are older than a minute by now.
    assert late.figures.window_s == 55.0


@pytest.mark.parametrize(
    ("told", "server", "reached"),
    [
        ("127.0.0.1:9464", "127.0.0.1:50051", "127.0.0.1:9464"),
        ("0.0.0.0:9464", "gpu-1:50051", "gpu-1:9464"),
        ("[::]:9464", "grpcs://gpu-1:443", "gpu-1:9464"),
        ("10.0.0.5:9464", "gpu-1:50051", "10.0.0.5:9464"),
        ("0.0.0.0:9464", "unix:/run/parfocal", "0.0.0.0:9464"),
        ("", "gpu-1:50051", ""),
    ],
)
def test_a_page_that_is_everywhere_is_at_the_servers_host(told: str, server: str, reached: str) -> None:
    assert reachable(told, server) == reached
