"""How long a run is: as long as was asked, or until the held-out loss has stopped falling, within a bound."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn, optim
from transformers import get_linear_schedule_with_warmup

from fakes.training import hyperparameters_of
from parfocal.training.methods.schedule import Schedule

Curve = Callable[[int], float]


def run(curve: Curve, rows: int = 160) -> tuple[Schedule, int]:
    """Plays an open run whose held-out loss follows `curve`; returns its last step."""
    hyperparameters = hyperparameters_of(rows)
    schedule, step = Schedule(hyperparameters), 0
    while step < schedule.end:
        step += 1
        if step == schedule.end or step % hyperparameters.evaluate_every == 0:
            schedule.looked(step, curve(step))
    return schedule, step


def test_a_loss_that_falls_by_half_at_every_look_is_given_more_than_the_planned_steps() -> None:
    schedule, last = run(lambda step: 2 * 0.5 ** (step / 12))
    assert 100 <= last <= 240
    assert not schedule.still_falling


def test_a_run_ends_once_its_loss_has_rested_for_longer_than_a_plateau() -> None:
    schedule, last = run(lambda step: max(0.4, 2 - step / 15))
    assert 24 + 80 < last <= 140
    assert not schedule.still_falling


def test_a_run_ends_soon_after_nothing_is_left_to_learn() -> None:
    schedule, last = run(lambda step: max(0.01, 2 - step / 15))
    assert 48 <= last <= 75
    assert not schedule.still_falling


def test_a_long_run_ends_after_two_looks_at_a_loss_that_rests() -> None:
    _, last = run(lambda step: max(0.4, 2 - step / 15), rows=1600)
    assert last <= 240


# Two small sets of 3 and of 6 classes in invented words, as they were seen to be learnt.
THREE = (1.31, 0.46, 0.41, 0.47, 0.42, 0.43, 0.53, 0.34, 0.37, 0.28, 0.22, 0.25, 0.18, 0.19, 0.16, 0.17, 0.18)
SIX = (1.18, 0.92, 0.99, 0.89, 0.95, 1.01, 1.02, 0.90, 0.77, 0.68, 0.55, 0.41, 0.39, 0.39, 0.39, 0.39, 0.39)


@pytest.mark.parametrize(("losses", "understood"), [(THREE, 132), (SIX, 144)])
def test_a_run_outlives_the_plateau_at_which_small_sets_are_only_guessed(
    losses: tuple[float, ...], understood: int
) -> None:
    _, last = run(lambda step: losses[min(step // 12, len(losses)) - 1])
    assert last > understood


def test_a_loss_that_rises_ends_the_run_before_its_planned_length() -> None:
    _, last = run(lambda step: 1 + step / 100, rows=1600)
    assert last <= 300


def test_a_loss_that_never_rests_ends_at_the_bound_and_says_so() -> None:
    schedule, last = run(lambda step: 3 - step / 100)
    assert last == 240
    assert schedule.still_falling


@given(st.lists(st.floats(0, 20), min_size=40, max_size=40), st.integers(2, 5000))
def test_whatever_the_loss_does_the_bound_holds_and_the_rate_ends_at_zero(
    losses: list[float], rows: int
) -> None:
    hyperparameters = hyperparameters_of(rows)
    schedule, last = run(lambda step: losses[step // hyperparameters.evaluate_every % 40], rows)
    rates = [schedule.factor(step) for step in range(last + 1)]
    assert last <= hyperparameters.steps
    assert rates[-1] == 0
    assert all(0 <= rate <= 1 for rate in rates)


@given(st.lists(st.floats(0, 20), min_size=20, max_size=20), st.integers(1, 19))
def test_a_resumed_run_takes_the_same_course(losses: list[float], stop: int) -> None:
    whole, first, second = (Schedule(hyperparameters_of(160)) for _ in range(3))
    looks = [(12 * (at + 1), loss) for at, loss in enumerate(losses)]
    whole.replay(looks)
    first.replay(looks[:stop])
    second.replay(looks[:stop])
    second.replay(looks[stop:])
    assert second.end == whole.end
    assert [second.factor(s) for s in range(240)] == [whole.factor(s) for s in range(240)]


@pytest.mark.parametrize("steps", [1, 7, 140])
def test_a_given_length_falls_in_a_line_as_transformers_schedule_does(steps: int) -> None:
    hyperparameters = hyperparameters_of(steps=steps)
    ours = Schedule(hyperparameters)
    optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    theirs = get_linear_schedule_with_warmup(optimizer, hyperparameters.warmup_steps, steps)
    for step in range(steps):
        assert ours.factor(step) == theirs.get_last_lr()[0]
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(("last", "falling"), [(0.5, True), (0.99, False), (1.2, False)])
def test_a_given_length_says_whether_the_loss_was_still_falling(last: float, falling: bool) -> None:
    schedule = Schedule(hyperparameters_of(steps=10))
    schedule.replay([(5, 1.0), (10, last)])
    assert schedule.end == 10
    assert schedule.still_falling is falling
