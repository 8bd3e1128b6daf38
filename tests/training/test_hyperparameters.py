"""The choices: what a person gives is kept; the rest follows from data and base, each with a reason."""

from pathlib import Path
from typing import Any

import pytest

from parfocal.training import BaseUnfit, Choice, Hyperparameters, TrainConfig
from parfocal.training.hyperparameters import BaseFacts, DataFacts, base_facts, choose

LLAMA_8B = BaseFacts("llama", 4096, 8192)


def hyperparameters(
    data: DataFacts | None = None, base: BaseFacts = LLAMA_8B, **settings: Any
) -> Hyperparameters:
    facts = data or DataFacts(rows=1000, longest=300, learnt_tokens=50000)
    return choose(TrainConfig(data=Path("d"), name="n", **settings), facts, base)


def choice(found: Hyperparameters, name: str) -> Choice:
    return next(choice for choice in found.choices if choice.name == name)


@pytest.mark.parametrize(
    ("base", "rate"),
    [
        (LLAMA_8B, 2.86e-4),
        (BaseFacts("llama", 8192, 8192), 1.66e-4),
        (BaseFacts("qwen3", 4096, 8192), 4.73e-4),
        (BaseFacts("llama", 256, 1024), 2.49e-3),
        (BaseFacts("llama", 16, 1024), 5e-3),
    ],
)
def test_the_learning_rate_follows_the_size_of_the_base(base: BaseFacts, rate: float) -> None:
    assert hyperparameters(base=base).learning_rate == pytest.approx(rate)


def test_what_is_given_is_kept() -> None:
    found = hyperparameters(learning_rate=1e-4, alpha=8, rank=4, steps=7, max_length=100, rslora=True)

    assert (found.learning_rate, found.alpha, found.rank) == (1e-4, 8, 4)
    assert (found.steps, found.max_length, found.rslora) == (7, 100, True)


def test_alpha_is_twice_the_rank_and_high_ranks_use_rslora() -> None:
    assert hyperparameters(rank=8).alpha == 16
    assert not hyperparameters(rank=32).rslora
    assert hyperparameters(rank=64).rslora


def test_three_epochs_are_planned_by_default_and_four_times_as_many_are_the_bound() -> None:
    found = hyperparameters(DataFacts(1600, 300, 1))

    assert (found.planned_steps, found.steps, found.until_rest) == (300, 1200, True)


def test_small_data_is_seen_more_often_but_not_for_ever() -> None:
    assert hyperparameters(DataFacts(160, 300, 1)).planned_steps == 60
    assert hyperparameters(DataFacts(16, 300, 1)).planned_steps == 20


@pytest.mark.parametrize("settings", [{"steps": 30}, {"epochs": 2}])
def test_a_given_length_is_the_length(settings: dict[str, Any]) -> None:
    found = hyperparameters(DataFacts(240, 300, 1), **settings)

    assert (found.steps, found.planned_steps, found.until_rest) == (30, 30, False)


def test_an_open_run_is_warmed_up_and_looked_at_as_often_as_its_planned_length_asks() -> None:
    given, left_open = (
        hyperparameters(DataFacts(1600, 300, 1), steps=300),
        hyperparameters(DataFacts(1600, 300, 1)),
    )

    assert left_open.warmup_steps == given.warmup_steps
    assert left_open.evaluate_every == given.evaluate_every


def test_epochs_become_steps() -> None:
    assert hyperparameters(DataFacts(100, 300, 1), epochs=2).steps == 13


def test_no_row_is_cut_unless_the_base_sees_no_further() -> None:
    assert hyperparameters(DataFacts(100, 300, 1)).max_length == 300
    assert hyperparameters(DataFacts(100, 9000, 1)).max_length == 8192
    assert hyperparameters(max_length=20000).max_length == 8192


def test_a_step_may_be_split_into_smaller_passes() -> None:
    found = hyperparameters(batch_size=16, micro_batch=4)

    assert (found.micro_batch, found.accumulation) == (4, 4)


def test_scoring_happens_about_as_often_as_asked() -> None:
    assert hyperparameters(steps=100, evaluations=5).evaluate_every == 20
    assert hyperparameters(steps=3, evaluations=5).evaluate_every == 1


def test_every_choice_has_a_reason() -> None:
    assert all(choice.reason for choice in hyperparameters().choices)
    assert choice(hyperparameters(learning_rate=1e-3), "learning_rate").reason == "as given"


def test_a_base_without_sizes_is_unfit(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "a_model_of_next_year"}')

    with pytest.raises(BaseUnfit, match="hidden_size"):
        base_facts(tmp_path)


def test_a_base_that_relies_on_its_class_has_the_sizes_of_its_class(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "mistral", "vocab_size": 9, "id": ' + "9" * 30 + "}"
    )

    assert base_facts(tmp_path) == BaseFacts("mistral", 4096, 131072)


def test_sizes_of_a_nested_configuration_are_found(tmp_path: Path) -> None:
    text = '{"model_type": "gemma3", "text_config": {"hidden_size": 8, "max_position_embeddings": 9}}'
    (tmp_path / "config.json").write_text(text)

    assert base_facts(tmp_path) == BaseFacts("gemma3", 8, 9)


def test_a_run_may_be_bounded_and_still_end_by_itself() -> None:
    chosen = hyperparameters(DataFacts(1600, 300, 1))
    bounded = hyperparameters(DataFacts(1600, 300, 1), steps=chosen.steps, early_stop=True)

    assert (bounded.steps, bounded.planned_steps, bounded.until_rest) == (1200, 300, True)
    assert choice(bounded, "schedule").value == "wsd"
    assert choice(bounded, "steps").reason.startswith("at most")


def test_a_run_of_the_usual_length_need_not_end_by_itself() -> None:
    found = hyperparameters(DataFacts(1600, 300, 1), early_stop=False)

    assert (found.steps, found.planned_steps, found.until_rest) == (300, 300, False)
    assert "patience" not in found.to_json()


def test_patience_lasts_at_least_eighty_steps_and_says_why() -> None:
    assert choice(hyperparameters(DataFacts(160, 300, 1)), "patience").value == 7
    assert choice(hyperparameters(DataFacts(16000, 300, 1)), "patience").value == 2
    assert "84 steps" in choice(hyperparameters(DataFacts(160, 300, 1)), "patience").reason
    assert hyperparameters(patience=1).patience == 1
