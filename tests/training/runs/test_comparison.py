"""Whether an adapter is better than its base is said only where the rows agree enough."""

import random

import pytest

from parfocal.training.runs.comparison import gain


def test_a_clear_gain_is_better_and_a_clear_loss_worse() -> None:
    base = [2.0 + n % 3 for n in range(40)]
    lower = [loss - 0.5 - 0.1 * (n % 2) for n, loss in enumerate(base)]

    assert gain(base, lower).verdict == "better"
    assert gain(base, lower).mean == pytest.approx(0.55)
    assert gain(lower, base).verdict == "worse"


def test_noise_is_no_clear_difference() -> None:
    chance = random.Random(0)
    base = [chance.gauss(2, 1) for _ in range(40)]
    other = [loss + chance.gauss(0, 1) for loss in base]
    found = gain(base, other)

    assert found.verdict == "no clear difference"
    assert found.low < 0 < found.high


def test_an_adapter_that_does_nothing_is_no_difference() -> None:
    assert gain([1.0, 2.0], [1.0, 2.0]).verdict == "no clear difference"


def test_the_interval_is_the_same_every_time() -> None:
    assert gain([1.0, 2.0, 4.0], [1.0, 1.0, 1.0]) == gain([1.0, 2.0, 4.0], [1.0, 1.0, 1.0])
