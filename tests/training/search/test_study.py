"""The trials of a search: drawn from the seed alone, cut where they are worse, kept through interruptions."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from parfocal.training.search import Choices, Outcome, Range, Scoring, SearchConfig, Space
from parfocal.training.search.trials import Running, Study

SPACE: Space = {"learning_rate": Range(1e-4, 1e-2, log=True), "rank": Choices((4, 8, 16))}
START = {"learning_rate": 2e-3, "rank": 8}
Losses = Callable[[Mapping[str, Any]], float]


def loss_of(settings: Mapping[str, Any]) -> float:
    """Lowest at a rate of 3e-3, whatever the rank."""
    return abs(float(settings["learning_rate"]) - 3e-3) * 100 + 0.1


def study(path: Path, trials: int = 6, **settings: Any) -> Study:
    return Study(path / "study.db", settings.pop("space", SPACE), SearchConfig(trials=trials, **settings), 7)


def carry_out(trial: Running, losses: Losses = loss_of) -> Outcome:
    """Three scorings on the way to its loss, unless it is pruned."""
    for step in (1, 2, 3):
        if not trial.scored(Scoring(step, 3, losses(trial.settings) * (4 - step))):
            trial.ended(Outcome.PRUNED)
            return Outcome.PRUNED
    trial.spent(2.0)
    trial.ended(Outcome.FINISHED)
    return Outcome.FINISHED


def all_of(one: Study) -> list[Mapping[str, Any]]:
    drawn: list[Mapping[str, Any]] = []
    while (trial := one.next(START)) is not None:
        drawn.append(trial.settings)
        carry_out(trial)
    return drawn


def test_the_first_trial_is_the_start_and_the_others_lie_in_the_space(tmp_path: Path) -> None:
    drawn = all_of(study(tmp_path))

    assert drawn[0] == START
    assert len(drawn) == 6
    assert all(SPACE[name].holds(value) for each in drawn for name, value in each.items())
    assert len({each["learning_rate"] for each in drawn}) == 6


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_that_was_interrupted_draws_what_it_would_have_drawn(tmp_path: Path, sampler: str) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = study(tmp_path / "whole", 8, sampler=sampler)
    drawn = all_of(whole)
    for _ in range(3):
        part = study(tmp_path / "parts", 8, sampler=sampler)
        trial = part.next(START)
        assert trial is not None
        carry_out(trial)
        cut_off = part.next(START)  # left as a killed process leaves it
        assert cut_off is not None
        cut_off.scored(Scoring(1, 3, loss_of(cut_off.settings) * 3))
    rest = study(tmp_path / "parts", 8, sampler=sampler)
    all_of(rest)

    assert [each.settings for each in rest.found.trials] == drawn
    assert rest.found.trials == whole.found.trials


def test_a_trial_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    first = study(tmp_path).next(START)
    assert first is not None
    first.scored(Scoring(1, 3, 0.9))
    first.spent(5.0)
    again = study(tmp_path).next(START)

    assert again is not None
    assert (again.number, again.settings) == (1, first.settings)
    again.scored(Scoring(1, 3, 0.9))
    again.scored(Scoring(3, 3, 0.7))
    again.spent(2.0)
    again.ended(Outcome.FINISHED)
    (found,) = study(tmp_path).found.trials
    assert found.curve == (Scoring(1, 3, 0.9), Scoring(3, 3, 0.7))
    assert found.seconds == 7.0


def test_trials_that_are_worse_than_the_median_end_early(tmp_path: Path) -> None:
    one = study(tmp_path, 8, pruner="median")
    outcomes: list[Outcome] = []
    for loss in (0.5, 0.6, 0.7, 0.9, 0.4):
        trial = one.next(START)
        assert trial is not None
        outcomes.append(carry_out(trial, lambda _, loss=loss: loss))  # type: ignore[misc]

    assert outcomes == [Outcome.FINISHED] * 3 + [Outcome.PRUNED, Outcome.FINISHED]
    assert one.found.best is not None and one.found.best.number == 5
    assert one.left == 3


def test_halving_keeps_the_better_half_at_each_rung(tmp_path: Path) -> None:
    one = study(tmp_path, 8, pruner="halving")
    outcomes = []
    for loss in (0.5, 0.6, 0.4):
        trial = one.next(START)
        assert trial is not None
        outcomes.append(carry_out(trial, lambda _, loss=loss: loss))  # type: ignore[misc]

    assert outcomes == [Outcome.FINISHED, Outcome.PRUNED, Outcome.FINISHED]


def test_without_a_pruner_every_trial_ends_by_itself(tmp_path: Path) -> None:
    one = study(tmp_path, 6, pruner="none")
    all_of(one)

    assert {each.outcome for each in one.found.trials} == {Outcome.FINISHED}


def test_a_grid_takes_every_combination_in_order(tmp_path: Path) -> None:
    space: Space = {"rank": Choices((4, 8)), "targets": Choices((("q_proj",), ()))}
    one = Study(tmp_path / "study.db", space, SearchConfig(sampler="grid", pruner="none"), 0)

    assert one.count == 4
    assert all_of_grid(one) == [
        {"rank": 4, "targets": ("q_proj",)},
        {"rank": 4, "targets": ()},
        {"rank": 8, "targets": ("q_proj",)},
        {"rank": 8, "targets": ()},
    ]
    assert [each.settings["targets"] for each in one.found.trials[:2]] == [("q_proj",), ()]


def all_of_grid(one: Study) -> list[Mapping[str, Any]]:
    drawn: list[Mapping[str, Any]] = []
    while (trial := one.next({})) is not None:
        drawn.append(trial.settings)
        carry_out(trial, lambda settings: float(settings["rank"]))
    return drawn


def test_a_diverged_trial_is_never_the_best_and_the_search_avoids_it(tmp_path: Path) -> None:
    one = study(tmp_path)
    trial = one.next(START)
    assert trial is not None
    trial.scored(Scoring(1, 3, 0.01))
    trial.ended(Outcome.DIVERGED, "the loss is nan at step 2")

    assert one.found.best is None
    assert one.found.trials[0].reason == "the loss is nan at step 2"
    assert len(all_of(one)) == 5


def test_the_file_may_lie_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "50% a?b#c {x}"
    folder.mkdir()
    all_of(study(folder, 2))

    assert (folder / "study.db").is_file()
    assert len(study(folder, 2).found.trials) == 2
    assert study(folder, 2).next(START) is None
    assert study(folder, 3).next(START) is not None
