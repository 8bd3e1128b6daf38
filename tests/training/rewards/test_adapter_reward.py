"""A version of `--method reward` scores answers as it was trained to, and nothing else is taken for one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes.training import JsonRow, chat_rows, write_jsonl
from parfocal.registry import FolderRegistry, describe_base, locate_base
from parfocal.training import InvalidConfig, TrainConfig, check, train
from parfocal.training.data import BaseEncoder, Row, Turn, render
from parfocal.training.methods import load_served
from parfocal.training.methods.preferences import Readout, scores_of
from parfocal.training.rewards import Attempt, Bench, guarded_rewards

LETTERS = "abcdefgh"
REWARD = "adapter:team/judge@1"


def pair(at: int) -> JsonRow:
    letter = LETTERS[at % 8]
    return {"prompt": f"{at} {letter}", "chosen": letter * 3, "rejected": letter.upper() * 3}


@pytest.fixture(scope="module")
def home(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Settings of a grpo run, in whose registry there are a reward adapter and one that answers."""
    folder = tmp_path_factory.mktemp("judge")
    shared = TrainConfig(
        data=write_jsonl(folder / "pairs.jsonl", [pair(at) for at in range(60)]),
        name="team/judge",
        base=str(base_folder),
        registry=str(folder / "registry"),
        output=folder / "judge",
        method="reward",
        rank=4,
        steps=8,
        evaluations=1,
        learning_rate=5e-3,
        batch_size=8,
        answers=0,
        probes=False,
    )
    train(shared)
    chats = write_jsonl(folder / "chats.jsonl", chat_rows(40))
    train(replace(shared, data=chats, name="team/answers", method="sft", output=folder / "sft", steps=1))
    asked = [{"prompt": f"{at} {LETTERS[at % 8]}"} for at in range(40)]
    prompts = write_jsonl(folder / "prompts.jsonl", asked)
    return replace(
        shared,
        data=prompts,
        name="team/letters",
        method="grpo",
        rewards=(REWARD,),
        output=folder / "grpo",
        steps=2,
        batch_size=2,
        generations=4,
        answer_tokens=4,
        held_out_fraction=0.2,
        keep="last",
    )


def attempt(at: int, answer: str) -> tuple[Attempt, Row]:
    prompt = f"{at} {LETTERS[at % 8]}"
    row = Row("d", at, (Turn("user", prompt),), raw=True)
    whole = replace(row, turns=(*row.turns, Turn("assistant", answer, learn=True)))
    return Attempt(answer, {"prompt": prompt}, f"d line {at}", row), whole


def test_scores_are_those_that_training_measured_by(home: TrainConfig, base_folder: Path) -> None:
    registry = FolderRegistry(Path(str(home.registry)))
    base = locate_base(str(base_folder), weights=False)
    bench = Bench(base_folder, describe_base(base), "cpu", registry)
    encoder = BaseEncoder(base_folder)
    asked = [
        attempt(at, answer) for at in range(6) for answer in (LETTERS[at] * 3, LETTERS[at].upper() * 3, "")
    ]
    rewards = guarded_rewards([REWARD], 60, bench)
    found = rewards.sums([each for each, _ in asked])
    rewards.close()
    folder = registry.materialise(registry.resolve("team/judge@1").digest)
    model = load_served(base_folder, folder, torch.device("cpu"))
    samples = [render(whole, encoder) for _, whole in asked]
    oracle = scores_of(model, Readout.of(encoder), samples, 4, encoder.pad_id)

    assert found == pytest.approx(oracle, abs=0.02)
    assert len(set(found)) > len(found) // 2


def test_a_run_earns_what_the_adapter_scores_and_says_by_which(home: TrainConfig) -> None:
    result = train(home)
    provenance = FolderRegistry(Path(str(home.registry))).resolve("team/letters").manifest.provenance

    assert provenance is not None
    assert provenance.hyper_parameters["rewards"] == [REWARD]
    assert result.gains.keys() == {"reward"}


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ("adapter:team/answers@1", r"team/answers@1 scores no answers: it was made by method sft"),
        ("adapter:team/judge", r"names no version; write adapter:team/judge@3"),
        ("adapter:team/judge@prod", r"names no version"),
    ],
)
def test_what_is_no_reward_adapter_is_refused_by_name(home: TrainConfig, reward: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message) as refused:
        check(replace(home, rewards=(reward,)))
    assert refused.value.field == "rewards"


def test_a_reward_for_another_base_and_one_without_a_registry_are_refused(
    home: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfig, match=r"team/judge@1 was made for another base than"):
        check(replace(home, base="tiny"))
    with pytest.raises(InvalidConfig, match=r"needs a registry to be found in.*--registry"):
        check(replace(home, registry=str(tmp_path / "absent")))
