"""The embedded base learns which replies are preferred, by more than chance, also in words it has not met."""

from pathlib import Path

from fakes.training import write_jsonl
from parfocal.training import TrainConfig, train
from parfocal.training.examples import preferred_replies


def test_a_few_steps_of_dpo_move_the_margin_and_the_accuracy_beyond_doubt(tmp_path: Path) -> None:
    config = TrainConfig(
        data=write_jsonl(tmp_path / "pairs.jsonl", list(preferred_replies(120, seed=3))),
        held_out=write_jsonl(tmp_path / "new.jsonl", list(preferred_replies(40, seed=4, wording="new"))),
        name="demo/replies",
        output=tmp_path / "run",
        method="dpo",
        rendering="chat",
        steps=12,
        batch_size=8,
        learning_rate=5e-4,
        evaluations=1,
    )
    metrics = train(config).metrics()

    assert metrics["margin_gain_low"] > 5
    assert metrics["preference_accuracy_gain_low"] > 0
    assert metrics["adapter_preference_accuracy"] > 0.9
