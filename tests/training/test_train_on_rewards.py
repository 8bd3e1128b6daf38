"""Whole runs of grpo: what is recorded, a run that goes on to the bit, and rewards that fail."""

import json
from pathlib import Path
from typing import Any

import pytest

from fakes.methods import rewards
from fakes.training import StopsAt, weights, write_jsonl
from parfocal.registry import FolderRegistry
from parfocal.training import (
    DataRefused,
    Interrupted,
    InvalidConfig,
    RewardFailed,
    TrainConfig,
    TrainResult,
    check,
    resume,
    train,
)

STEPS, BATCH, GENERATIONS = 8, 4, 4


def settings_of(folder: Path, base: Path, **more: Any) -> dict[str, Any]:
    rows = [{"prompt": f"{at} {'abcdefgh'[at % 8]}", "goal": at} for at in range(60)]
    return {
        "data": write_jsonl(folder / "prompts.jsonl", rows),
        "name": "team/letters",
        "base": str(base),
        "output": folder / "run",
        "method": "grpo",
        "rewards": ("fakes.methods.rewards:failing",),
        "steps": STEPS,
        "evaluations": 1,
        "held_out_fraction": 0.4,
        "keep": "last",
        "rank": 4,
        "learning_rate": 2e-2,
        "batch_size": BATCH,
        "generations": GENERATIONS,
        "answer_tokens": 6,
        "answers": 3,
        "probes": False,
    } | more


@pytest.fixture(scope="module")
def whole(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    rewards.failing.left = 0
    return train(TrainConfig(**settings_of(folder, base_folder, registry=str(folder / "registry"))))


def test_answers_are_shown_side_by_side(whole: TrainResult) -> None:
    found = json.loads((whole.output / "evaluation" / "report.json").read_text())

    assert found["metric"] == "reward"
    assert [len(each["answers"]) for each in found["samples"]] == [2, 2, 2]
    assert all(each["prompt"] for each in found["samples"])
    assert any(line.startswith("adapter, reward: ") for line in whole.lines())


def test_the_version_says_what_was_rewarded_and_how_much_base_and_adapter_earn(whole: TrainResult) -> None:
    manifest = FolderRegistry(whole.output.parent / "registry").resolve("team/letters").manifest

    assert manifest.evaluation is not None and manifest.provenance is not None
    earned = ("base_reward", "adapter_reward", "reward_gain", "reward_gain_low", "reward_gain_high")
    assert manifest.evaluation.metrics.keys() >= set(earned)
    assert manifest.provenance.hyper_parameters["method"] == "grpo"
    assert manifest.provenance.hyper_parameters["rewards"] == ["fakes.methods.rewards:failing"]


def test_an_interrupted_run_resumes_bit_for_bit(
    whole: TrainResult, base_folder: Path, tmp_path: Path
) -> None:
    rewards.failing.left = 0
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings_of(tmp_path, base_folder)), StopsAt(3))
    resumed = resume(tmp_path / "run")

    assert weights(tmp_path / "run") == weights(whole.output)
    assert resumed.metrics() == whole.metrics()


def test_a_reward_that_raises_ends_the_run_which_goes_on_once_it_is_mended(
    whole: TrainResult, base_folder: Path, tmp_path: Path
) -> None:
    config = TrainConfig(**settings_of(tmp_path, base_folder))
    rewards.failing.left = len(check(config).held_out) + 2 * BATCH * GENERATIONS + 3
    with pytest.raises(RewardFailed, match=r"raised OSError .* the compiler is gone; mend it and go on with"):
        train(config)

    assert (tmp_path / "run" / "checkpoints" / "checkpoint-2" / "complete.json").is_file()
    resume(tmp_path / "run")
    assert weights(tmp_path / "run") == weights(whole.output)


@pytest.mark.parametrize("name", ["not_a_number", "nothing", "hangs"])
def test_a_reward_that_gives_no_number_is_named(base_folder: Path, tmp_path: Path, name: str) -> None:
    more = {"rewards": (f"fakes.methods.rewards:{name}",), "reward_seconds": 0.3}
    with pytest.raises(RewardFailed, match=f"fakes.methods.rewards:{name}"):
        train(TrainConfig(**settings_of(tmp_path, base_folder, **more)))
    assert not (tmp_path / "run" / "adapter").exists()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"rewards": ()}, "rewards"),
        ({"rewards": ("exactly",)}, "rewards"),
        ({"method": "sft"}, "rewards"),
        ({"parent": "team/letters", "beta": 0.1}, "beta"),
        ({"generations": 1}, "generations"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    base_folder: Path, tmp_path: Path, settings: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidConfig) as refused:
        check(TrainConfig(**settings_of(tmp_path, base_folder, **settings)))
    assert refused.value.field == field


def test_a_prompt_that_leaves_no_room_for_an_answer_is_named(base_folder: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, base_folder, answer_tokens=250)
    with pytest.raises(DataRefused, match="lower --answer-tokens"):
        train(
            TrainConfig(
                **settings
                | {"data": write_jsonl(tmp_path / "d", [{"prompt": f"{at} and more"} for at in range(20)])}
            )
        )
