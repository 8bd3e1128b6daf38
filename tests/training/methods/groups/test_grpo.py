"""GRPO's parts on tokens: TRL's log-probabilities, draws that depend on seed and step, whole answers."""

from array import array
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback
from trl.trainer.grpo_trainer import GRPOTrainer

from fakes.methods.method_rig import MakeRig, Rig, moved
from parfocal.training.data import BaseEncoder, Question
from parfocal.training.methods.adapter import adapter_weights, set_adapter_weights
from parfocal.training.methods.groups.drawing import Drawing

SETTINGS = {
    "method": "grpo",
    "rewards": ("fakes.methods.rewards:capitals",),
    "steps": 4,
    "batch_size": 2,
    "generations": 4,
    "answer_tokens": 6,
    "learning_rate": 5e-3,
}


@pytest.fixture
def make_rig(base_folder: Path, tmp_path: Path) -> MakeRig:
    """Makes rigs on the small base."""

    def make(rows: list[Question], **settings: Any) -> Rig:
        return Rig(base_folder, tmp_path, rows, TrainerCallback(), **settings)

    return make


def questions(count: int) -> list[Question]:
    return [
        Question("d", line, array("i", range(5, 9 + line % 3)), True, {"prompt": "p"})
        for line in range(count)
    ]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_and_entropies_are_trl_s(make_rig: MakeRig, temperature: float) -> None:
    rig = make_rig(questions(8), **SETTINGS | {"temperature": temperature})
    set_adapter_weights(rig.model, moved(adapter_weights(rig.model)))
    ids = torch.tensor([[0, 0, 5, 6, 7, 30, 31, 2], [5, 6, 7, 8, 9, 40, 2, 0]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 0]])
    rig.model.eval()
    asked = {"batch_size": 1, "compute_entropy": True}
    ours = rig.trainer._get_per_token_logps_and_entropies(rig.model, ids, mask, 3, **asked)
    theirs = GRPOTrainer._get_per_token_logps_and_entropies(rig.trainer, rig.model, ids, mask, 3, **asked)

    shown = mask[:, -3:].bool()
    for one, other in zip(ours[:2], theirs[:2], strict=True):
        torch.testing.assert_close(one[shown], other[shown], rtol=1e-4, atol=1e-5)
    assert not ours[0][~shown].any()


def test_the_likeliest_answer_is_written_token_by_token_through_its_stop(make_rig: MakeRig) -> None:
    rig = make_rig(questions(8), **SETTINGS)
    encoder = BaseEncoder(rig.base)
    prompts = [[5, 6, 7, 8], [9, 10]]
    drawn = Drawing(5, 0.0).draw(rig.model, prompts, encoder)
    rig.model.eval()
    for prompt, answer in zip(prompts, drawn, strict=True):
        ids = list(prompt)
        for token in answer:
            with torch.no_grad():
                assert int(rig.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()) == token
            ids.append(token)
        assert len(answer) == 5 or answer[-1] in encoder.end_ids


def test_what_a_step_draws_depends_on_seed_and_step_alone(make_rig: MakeRig) -> None:
    rig = make_rig(questions(8), **SETTINGS)
    prompts = [question.ids.tolist() for question in questions(4)]

    def drawn(step: int) -> list[list[int]]:
        rig.trainer.state.global_step = step
        answers: list[list[int]] = rig.trainer._generate_single_turn(prompts)[0]
        return answers

    first = drawn(1)
    torch.rand(7)
    assert drawn(1) == first
    assert drawn(2) != first


def test_the_same_seed_gives_the_same_adapter_and_nothing_of_trl_s_is_left(make_rig: MakeRig) -> None:
    first, second = (make_rig(questions(8), **SETTINGS).run() for _ in range(2))
    other = make_rig(questions(8), **SETTINGS | {"seed": 1})

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert list(other.model.peft_config) == ["default"]
