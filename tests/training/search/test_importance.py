"""What mattered: told from the order of all losses, those of pruned trials included, and never from few."""

from typing import Any

import pytest

from parfocal.training import Outcome, Trial
from parfocal.training.search import Scoring
from parfocal.training.search.importance import importance, ranks


def trial(loss: float, outcome: Outcome = Outcome.FINISHED, **settings: Any) -> Trial:
    return Trial(1, settings, outcome, (Scoring(1, 1, loss),))


def test_ranks_of_equal_values_are_shared() -> None:
    assert ranks([0.5, 0.1, 0.5, 2.0]) == [2.5, 1.0, 2.5, 4.0]


def test_the_setting_that_orders_the_losses_explains_all_of_it() -> None:
    trials = [
        trial(1 / rate, learning_rate=rate, rank=8 * (at % 2 + 1)) for at, rate in enumerate((1, 2, 3, 4, 5))
    ]
    found = importance(trials)

    assert list(found) == ["learning_rate", "rank"]
    assert found["learning_rate"] == 1.0
    assert found["rank"] == pytest.approx(0.0, abs=0.01)


def test_pruned_trials_count_so_that_what_is_always_pruned_matters() -> None:
    """Six finished trials of a search whose bad rates were pruned for one rank: the rank does not matter."""
    ended = [trial(loss, rank=8, rate=rate) for rate, loss in ((1, 2.1), (2, 0.55), (3, 0.10), (4, 0.05))]
    ended += [trial(loss, rank=16, rate=rate) for rate, loss in ((3, 0.064), (4, 0.042))]
    pruned = [trial(loss, Outcome.PRUNED, rank=16, rate=rate) for rate, loss in ((1, 2.0), (2, 1.9))]
    found = importance([*ended, *pruned])

    assert found["rate"] > 0.8
    assert found["rank"] < 0.1


def test_choices_without_an_order_are_compared_as_groups() -> None:
    losses = ((1.0, "a"), (1.1, "a"), (0.2, "b"), (0.3, "b"), (2.0, "c"), (2.1, "c"))
    found = importance(
        [trial(loss, schedule=name, targets=(name,), rslora=name == "b") for loss, name in losses]
    )

    assert found["schedule"] == found["targets"] == pytest.approx(0.914, abs=0.001)
    assert 0 < found["rslora"] < found["schedule"]


def test_few_trials_or_equal_losses_tell_nothing() -> None:
    assert importance([trial(at, rank=at) for at in (1, 2, 3)]) == {}
    assert importance([trial(1.0, rank=at) for at in (1, 2, 3, 4)]) == {}
    assert importance([Trial(1, {"rank": 1}, Outcome.REFUSED)] * 9) == {}
    assert importance([trial(at, rank=3) for at in (1, 2, 3, 4)]) == {"rank": 0.0}
