"""Random lives of an engine whose device computes late: right tokens, one end for each request, no leaks.

`pytest tests/engine/test_random_schedules.py --schedules 20000` checks that many; a fault names its seed.
"""

import logging
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.engine.schedules import Schedule


@pytest.fixture(autouse=True, scope="module")
def unlogged() -> Iterator[None]:
    """Thousands of injected failures are logged; nobody reads them."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_nobody_reads_anothers_numbers_everybody_ends_once_and_nothing_is_left(
    pytestconfig: pytest.Config,
) -> None:
    count = pytestconfig.getoption("--schedules")
    wrong = {seed: faults for seed in range(count) if (faults := Schedule(Random(seed)).run())}

    some = "\n".join(f"seed {seed}: {faults[0]}" for seed, faults in list(wrong.items())[:5])
    assert not wrong, f"{len(wrong)} of {count} schedules went wrong\n{some}"


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_a_schedule_that_goes_wrong_is_made_short(draw: Random) -> None:
    assert Schedule(draw).run() == []


def test_the_schedules_meet_what_they_are_for() -> None:
    """Every kind of end, ids used again, copies that begin while a step runs, and steps queued ahead."""
    lives = [Schedule(Random(seed)) for seed in range(60)]
    for life in lives:
        life.run()
    calls = [call for life in lives for call in life.calls]
    outcomes = {report.outcome for life in lives for report in life.observer.reports}

    assert outcomes >= {
        *("stop", "length", "stop_string", "cancelled", "deadline"),
        *("step_failed", "sending_failed", "adapter_unavailable"),
    }
    for life in lives:
        ids = [call.request.request_id for call in life.calls]
        assert len(set(ids)) < len(ids)
    assert sum(life.refused for life in lives) > 0
    assert sum(life.moved_in_steps for life in lives) > 100
    assert sum(life.queued_ahead for life in lives) > 150
    assert len(calls) > 500
