"""The embedded base learns to name customer and order from rewards of its own answers alone."""

from pathlib import Path

from fakes.training import write_jsonl
from parfocal.training import TrainConfig, train
from parfocal.training.examples import rewarded_questions


def test_a_few_steps_of_grpo_raise_the_reward_beyond_doubt(tmp_path: Path) -> None:
    config = TrainConfig(
        data=write_jsonl(tmp_path / "questions.jsonl", list(rewarded_questions(120, seed=3))),
        held_out=write_jsonl(tmp_path / "others.jsonl", list(rewarded_questions(40, seed=4))),
        name="demo/questions",
        output=tmp_path / "run",
        method="grpo",
        rewards=("parfocal.training.examples:names_the_case",),
        rendering="chat",
        steps=12,
        batch_size=8,
        answer_tokens=24,
        learning_rate=1.5e-3,
        keep="last",
        evaluations=1,
    )
    metrics = train(config).metrics()

    assert metrics["reward_gain_low"] > 0
    assert metrics["adapter_reward"] > metrics["base_reward"] + 0.1
