"""A run that has diverged is told from one that is merely having a hard batch."""

import math

import pytest

from parfocal.training import Diverged
from parfocal.training.methods.divergence import Divergence


def judge(base: float | None = 1.0) -> Divergence:
    divergence = Divergence()
    divergence.base = base
    return divergence


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_told_at_once(loss: float) -> None:
    with pytest.raises(Diverged, match="at step 3; lower the learning rate"):
        judge(None).learnt(loss, 3)
    with pytest.raises(Diverged):
        judge(None).scored(loss, 3)


def test_three_losses_in_a_row_far_above_the_base_are_a_divergence_and_one_is_not() -> None:
    divergence = judge()
    for loss in (9.0, 9.0, 0.9, 9.0, 9.0):
        divergence.learnt(loss, 1)
    with pytest.raises(Diverged, match=r"the loss is 9 at step 6, far above the base's 1;"):
        divergence.learnt(9.0, 6)


def test_all_watched_rows_far_above_the_base_are_a_divergence() -> None:
    judge().scored(3.9, 1)
    with pytest.raises(Diverged):
        judge().scored(4.1, 1)


def test_without_a_base_nothing_is_far() -> None:
    divergence = judge(None)
    for _ in range(9):
        divergence.learnt(1e6, 1)
    assert divergence.base is None
