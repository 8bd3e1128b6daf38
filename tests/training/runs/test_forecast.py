"""How long the rest takes: by the size of the steps that are left, after a few that are known."""

import pytest

from parfocal.training.runs import Forecast


def test_the_rest_is_as_long_as_its_rows_ask_for() -> None:
    sizes = [100] * 10 + [300] * 10
    forecast = Forecast(sizes)
    for step in range(1, 11):
        forecast.stepped(step, 0.5)

    assert forecast.seconds_left(10, 20, 1000) == pytest.approx(15.0)


def test_first_steps_do_not_count_once_others_are_known() -> None:
    forecast = Forecast()
    forecast.stepped(1, 9.0)
    assert forecast.seconds_left(1, 2, 1000) == pytest.approx(9.0)
    for step in range(2, 6):
        forecast.stepped(step, 1.0)

    assert forecast.seconds_left(5, 10, 1000) == pytest.approx(5.0)


def test_scorings_that_are_due_are_part_of_the_rest() -> None:
    forecast = Forecast()
    forecast.scored(2.0)
    for step in range(1, 5):
        forecast.stepped(step, 1.0)

    assert forecast.seconds_left(4, 10, 3) == pytest.approx(6.0 + 2 * 3)  # after 6, after 9, at the end
    assert forecast.seconds_left(4, 9, 3) == pytest.approx(5.0 + 2 * 2)
    assert forecast.seconds_left(10, 10, 3) == 0.0


def test_a_machine_that_becomes_slower_is_followed() -> None:
    forecast = Forecast()
    for step in range(1, 101):
        forecast.stepped(step, 1.0)
    for step in range(101, 151):
        forecast.stepped(step, 3.0)

    assert forecast.seconds_left(150, 160, 1000) == pytest.approx(30.0)
