"""What is done between steps: score, keep the best, object to what would spoil the adapter in silence."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn
from transformers import TrainerControl, TrainerState

from fakes.training import RecordingWatcher, hyperparameters_of
from parfocal.training import Diverged, GradientsLost
from parfocal.training.evaluation.held_out import Score
from parfocal.training.methods.schedule import Schedule
from parfocal.training.methods.supervision import Company, Pace, Supervision
from parfocal.training.runs.checkpoints import Checkpoints
from parfocal.training.runs.interruption import StopRequest


class Scripted:
    """Scores as the script says, and marks the model's weights with how often it was asked."""

    examples = 1
    relative = False

    def __init__(self, *losses: float) -> None:
        self._losses = list(losses)

    def refer(self, model: Any) -> Score:
        """The base's loss comes first in the script."""
        return self.score(model)

    def score(self, model: Any) -> Score:
        """Returns the next loss."""
        return Score(self._losses.pop(0), 0.5, 10, (1.0,))


class Rig:
    def __init__(self, folder: Path, *losses: float) -> None:
        plain = nn.Sequential(nn.Linear(4, 4))
        self.model: PeftModel = get_peft_model(plain, LoraConfig(r=1, target_modules=["0"]))
        self.watcher = RecordingWatcher()
        self.stop = StopRequest(self.watcher.say)
        self.checkpoints = Checkpoints(folder)
        pace = Pace(Schedule(hyperparameters_of(steps=6)), 2, 1e6)
        self.supervision = Supervision(
            Scripted(*losses), pace, self.checkpoints, Company(self.stop, self.watcher)
        )
        self.state = TrainerState(max_steps=6)
        self.control = TrainerControl()

    def set_weights(self, value: float) -> None:
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter.data.fill_(value)

    def do(self, hook: str, **extra: Any) -> None:
        getattr(self.supervision, hook)(None, self.state, self.control, model=self.model, **extra)

    def step(self, number: int) -> None:
        self.state.global_step = number
        self.do("on_step_end")


def test_scores_are_taken_at_the_pace_and_at_the_end(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 3.0, 2.0, 1.0)
    for number in range(1, 7):
        rig.step(number)

    assert [entry["step"] for entry in rig.state.log_history] == [2, 4, 6]
    assert [entry["held_out_loss"] for entry in rig.state.log_history] == [3.0, 2.0, 1.0]


def test_the_best_adapter_is_kept_as_it_was_then(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 3.0, 2.0, 2.5)
    for number in range(1, 7):
        rig.set_weights(float(number))
        rig.step(number)
    best = rig.supervision.best

    assert best is not None
    assert (best.step, best.loss) == (4, 2.0)
    assert all(torch.equal(tensor, torch.full_like(tensor, 4.0)) for tensor in best.weights.values())


def test_every_scoring_is_told_with_whether_it_is_the_best(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 3.0, 2.0, 2.5)
    for number in range(1, 7):
        rig.step(number)

    assert [(each.step, each.loss, each.is_best) for each in rig.watcher.scorings] == [
        (2, 3.0, True),
        (4, 2.0, True),
        (6, 2.5, False),
    ]


def test_the_last_step_saves_and_stops(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 1.0)
    rig.step(5)
    assert not rig.control.should_save and not rig.control.should_training_stop
    rig.step(6)
    assert rig.control.should_save and rig.control.should_training_stop


def test_a_request_to_stop_saves_and_stops_at_the_next_step(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.stop.ask()
    rig.step(1)

    assert rig.control.should_save and rig.control.should_training_stop


def test_a_checkpoint_holds_the_best_adapter_and_gives_it_back(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 2.0)
    rig.set_weights(7.0)
    rig.step(2)
    rig.checkpoints.path(2).mkdir()
    rig.state.save_to_json(str(rig.checkpoints.path(2) / "trainer_state.json"))
    rig.set_weights(8.0)
    rig.do("on_save")
    found = rig.checkpoints.latest()
    assert found is not None
    later = Rig(tmp_path).supervision
    later.restore(found)

    assert later.best is not None and rig.supervision.best is not None
    assert (later.best.step, later.best.loss) == (2, 2.0)
    stored = load_file(found.folder / "best.safetensors")
    assert all(torch.equal(tensor, rig.supervision.best.weights[name]) for name, tensor in stored.items())


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, loss: float) -> None:
    rig = Rig(tmp_path, loss)
    with pytest.raises(Diverged, match="lower the learning rate"):
        rig.do("on_log", logs={"loss": loss})
    with pytest.raises(Diverged):
        rig.step(2)


def test_weights_that_are_no_numbers_are_not_checkpointed(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.set_weights(math.nan)
    rig.checkpoints.path(1).mkdir()
    with pytest.raises(Diverged):
        rig.do("on_save")

    assert rig.checkpoints.latest() is None


def test_an_adapter_weight_without_a_gradient_ends_the_run(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with pytest.raises(GradientsLost, match="2 adapter weights got no gradient"):
        rig.do("on_pre_optimizer_step")


def test_gradients_are_looked_at_again_after_every_score(tmp_path: Path) -> None:
    rig = Rig(tmp_path, 1.0)
    rig.model(torch.ones(1, 4)).sum().backward()
    rig.do("on_pre_optimizer_step")
    rig.model.zero_grad()
    rig.do("on_pre_optimizer_step")
    rig.step(2)
    with pytest.raises(GradientsLost):
        rig.do("on_pre_optimizer_step")


def test_progress_is_told_with_the_loss(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.state.global_step = 3
    rig.do("on_log", logs={"loss": 1.5})
    rig.do("on_log", logs={"train_runtime": 1.0})

    assert rig.watcher.scorings == []
    (done,) = rig.watcher.steps
    assert (done.step, done.steps, done.loss) == (3, 6, 1.5)
