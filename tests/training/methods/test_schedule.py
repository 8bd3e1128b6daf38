"""How long a run is: as long as was asked, or until the held-out loss has stopped falling, within a bound."""

import math
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


# The validation losses, look by look, of three default runs on the embedded base, on sets of so many classes
# in invented words. The length of a plateau was chosen on the first two; the third was not looked at then.
THREE = (
    *(0.9946, 0.4296, 0.4769, 0.4115, 0.4293, 0.4773, 0.3952, 0.1805, 0.1542, 0.0719),
    *(0.0609, 0.0237, 0.4216, 0.0895, 0.0974, 0.2411, 0.1257, 0.0272, 0.0149, 0.0279),
)
SIX = (
    *(1.1754, 0.9230, 0.9856, 0.8903, 0.9065, 0.9230, 0.8064, 0.7304, 0.9735, 0.9903),
    *(0.4706, 0.5393, 0.5307, 0.1719, 0.2628, 0.6871, 0.1547, 0.1025, 0.1721),
)


FIVE = (
    *(1.9879, 0.7275, 0.4229, 0.4168, 0.3062, 0.1951, 0.1986, 0.2716, 0.3069, 0.2921),
    *(0.1843, 0.2888, 0.1224, 0.3769, 0.2710, 0.0988, 0.2291, 0.2779, 0.3980, 0.2743),
)


@pytest.mark.parametrize(
    ("losses", "rows", "bound", "falling"),
    [(THREE, 216, 240, True), (SIX, 324, 244, True), (FIVE, 270, 240, False)],
)
def test_a_run_outlives_a_plateau_and_says_whether_its_loss_fell_to_the_last(
    losses: tuple[float, ...], rows: int, bound: int, falling: bool
) -> None:
    every = math.ceil(bound / len(losses))
    schedule, last = run(lambda step: losses[math.ceil(step / every) - 1], rows)
    assert last == bound
    assert schedule.still_falling is falling


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


def test_a_cosine_falls_from_the_full_rate_to_nothing() -> None:
    schedule = Schedule(hyperparameters_of(steps=100, warmup_steps=0, schedule="cosine"))

    assert [round(schedule.factor(step), 3) for step in (0, 50, 100)] == [1.0, 0.5, 0.0]
    assert schedule.factor(25) == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 4))


def test_a_constant_rate_stays() -> None:
    schedule = Schedule(hyperparameters_of(steps=100, warmup_steps=2, schedule="constant"))

    assert [schedule.factor(step) for step in (0, 1, 2, 100)] == [0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant"])
def test_an_early_stop_without_a_decay_of_its_own_ends_the_run_at_once(kind: str) -> None:
    settings = hyperparameters_of(steps=100, early_stop=True, patience=2, schedule=kind)
    schedule = Schedule(settings)
    for step, loss in ((10, 1.0), (20, 1.1), (30, 1.2)):
        schedule.looked(step, loss)

    assert schedule.end == 30
    assert not schedule.still_falling
