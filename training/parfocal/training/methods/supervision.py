"""Supervises a run step by step: scores the held-out rows, keeps the best adapter, saves, stops, aborts.

Hooks into the transformers trainer; computes no loss itself.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from parfocal.registry.values import JSON
from parfocal.training.errors import GradientsLost
from parfocal.training.methods.adapter import Weights, adapter_weights
from parfocal.training.methods.divergence import Divergence
from parfocal.training.methods.method import Marks, Measure, in_words
from parfocal.training.methods.repacking import check_gradients_pass, check_unpacked
from parfocal.training.methods.schedule import Schedule
from parfocal.training.processes import ALONE, Peers
from parfocal.training.runs import Checkpoint, Checkpoints, Forecast, Scored, StepDone, StopRequest, Watcher

_BEST_FILE = "best.safetensors"

Keep = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Best:
    """The adapter that scored best on the held-out rows so far."""

    step: int
    loss: float
    weights: Weights


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to train, how often to score (in steps) and to save (in seconds); `scored` names the rows.

    `work` is each step's size, in any unit in which its time grows; empty: all are the same.
    `keep` writes into a checkpoint what the method must remember.
    """

    schedule: Schedule
    evaluate_every: int
    checkpoint_s: float
    scored: str = "validation"
    work: Sequence[float] = ()
    keep: Keep = lambda _: None


@dataclass(frozen=True, slots=True)
class Company:
    """Whom a run has to do with: who may stop it, who follows it, and its other processes."""

    stop: StopRequest
    watcher: Watcher
    peers: Peers = ALONE


class Supervision(TrainerCallback):
    """What happens around the steps. After the run, `best` is the adapter with the lowest loss."""

    def __init__(
        self,
        held_out: Measure,
        pace: Pace,
        checkpoints: Checkpoints,
        company: Company,
    ) -> None:
        self.best: Best | None = None
        self._held_out = held_out
        self._pace = pace
        self.schedule = pace.schedule
        self._checkpoints = checkpoints
        self.stop = company.stop
        self._watcher = company.watcher
        self._peers = company.peers
        self._prove_gradients = True
        self._scoring = False
        self._started = self._saved = time.monotonic()
        self._mark = self._started
        self._tokens_before = 0
        self._divergence = Divergence()
        self._forecast = Forecast(pace.work)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restores the best adapter so far, and the history of the held-out loss, from `checkpoint`."""
        log = json.loads(history_file(checkpoint.folder).read_text("utf-8"))["log_history"]
        self.schedule.replay((e["step"], e["held_out_loss"]) for e in log if "held_out_loss" in e)
        self._divergence.base = next((e["base_loss"] for e in log if "base_loss" in e), None)
        for entry in log:
            if "loss" in entry:
                self._divergence.learnt(float(entry["loss"]), int(entry["step"]))
        path = checkpoint.folder / _BEST_FILE
        note = checkpoint.note
        if path.is_file():
            self.best = Best(int(str(note["best_step"])), float(str(note["best_loss"])), load_file(path))

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Scores the base before the first step, and starts the clock."""
        if state.global_step == 0:
            self._score_base(kwargs["model"], state)
        elif self._held_out.relative:
            with kwargs["model"].disable_adapter():
                self._held_out.refer(kwargs["model"])
        self._started = self._saved = self._mark = time.monotonic()
        self._tokens_before = int(state.num_input_tokens_seen)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Aborts, at the first step and after each scoring, if a layer would no longer learn."""
        if not self._prove_gradients:
            return
        model = kwargs["model"]
        check_unpacked(model)
        check_gradients_pass(model)
        missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
        if missing:
            raise GradientsLost(f"{len(missing)} adapter weights got no gradient, first {missing[0]}")
        self._prove_gradients = False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Scores when due; asks the trainer to save and to stop."""
        self._forecast.stepped(state.global_step, time.monotonic() - self._mark)
        last = state.global_step >= self.schedule.end
        if last or state.global_step % self._pace.evaluate_every == 0:
            self._score(kwargs["model"], state)
            last = state.global_step >= self.schedule.end
        due = self._peers.place.leads and time.monotonic() - self._saved > self._pace.checkpoint_s
        due, stopped = self._peers.agreed(due, self.stop.made)
        control.should_log |= last
        control.should_save = last or due or stopped
        control.should_training_stop = last or stopped
        self._mark = time.monotonic()
        return control

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Reports progress; raises Diverged when the loss is no longer a number, or far above the base's."""
        loss = kwargs["logs"].get("loss")
        if loss is not None:
            self._divergence.learnt(float(loss), state.global_step)
            self._report(state, float(loss))

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Adds the best adapter to the checkpoint that the trainer wrote, and marks it as complete."""
        if not all(
            bool(torch.isfinite(tensor).all()) for tensor in adapter_weights(kwargs["model"]).values()
        ):
            self._divergence.learnt(math.nan, state.global_step)
        self._peers.wait()  # each writes its random state
        if self._peers.place.leads:
            self._complete(state)
        self._saved = self._mark = time.monotonic()

    def _complete(self, state: TrainerState) -> None:
        folder = self._checkpoints.path(state.global_step)
        note: dict[str, JSON] = {}
        if self.best is not None:
            save_file(dict(self.best.weights), folder / _BEST_FILE)
            note = {"best_step": self.best.step, "best_loss": self.best.loss}
        self._pace.keep(folder)
        self._checkpoints.complete(state.global_step, note)
        self._watcher.saved(state.global_step)

    def save_now(self, trainer: Any) -> None:
        """Saves a run that cannot take its next step; not while rows are scored, which would be left out."""
        state = trainer.state
        if self._scoring or state.global_step == 0:
            return
        trainer._save_checkpoint(trainer.model, trial=None)
        trainer.callback_handler.on_save(trainer.args, state, trainer.control)

    def _score_base(self, model: PeftModel, state: TrainerState) -> None:
        with model.disable_adapter():
            base = self._timed(self._held_out.refer, model)
        self._divergence.base = base.loss
        state.log_history.append({"step": 0, "base_loss": base.loss})
        self._watcher.say(f"The base alone: {self._pace.scored} loss {base.loss:.4f}{_as_trained(model)}")
        self._watcher.scored(self._found(0, base, is_base=True))

    def _timed(self, mark: Callable[[PeftModel], Marks], model: PeftModel) -> Marks:
        began = time.monotonic()
        self._scoring = True
        # Others may compute with other bits, and all must decide alike.
        marks = self._peers.told(mark(model))
        self._scoring = False
        self._forecast.scored(time.monotonic() - began)
        return marks

    def _found(self, step: int, score: Marks, *, is_base: bool = False, is_best: bool = False) -> Scored:
        rows, end = self._pace.scored, self.schedule.end
        return Scored(step, end, rows, score.loss, score.figures, is_base, is_best)

    def _score(self, model: PeftModel, state: TrainerState) -> None:
        score = self._timed(self._held_out.score, model)
        self._divergence.scored(score.loss, state.global_step)
        figures = {f"held_out_{name}": value for name, value in score.figures.items()}
        state.log_history.append({"step": state.global_step, "held_out_loss": score.loss, **figures})
        self.schedule.looked(state.global_step, score.loss)
        self._prove_gradients = True
        is_best = self.best is None or score.loss < self.best.loss
        if is_best:
            self.best = Best(state.global_step, score.loss, adapter_weights(model))
        self._watcher.say(
            f"step {state.global_step}/{self.schedule.end}: {self._pace.scored} loss {score.loss:.4f}, "
            f"{in_words(score.figures)}"
        )
        self._watcher.scored(self._found(state.global_step, score, is_best=is_best))

    def _report(self, state: TrainerState, loss: float) -> None:
        seconds = max(time.monotonic() - self._started, 1e-9)
        tokens = int(state.num_input_tokens_seen) - self._tokens_before
        step, end = state.global_step, self.schedule.end
        left = self._forecast.seconds_left(step, end, self._pace.evaluate_every)
        self._watcher.step(StepDone(step, end, loss, tokens / seconds, left))


def _as_trained(model: PeftModel) -> str:
    """The final table shows the base as served, which may compute in another dtype."""
    dtype = model.get_input_embeddings().weight.dtype
    return "" if dtype is torch.float32 else f" in {str(dtype).removeprefix('torch.')}, as it trains"


def history_file(folder: Path) -> Path:
    """Where the trainer keeps the log of the checkpoint in `folder`."""
    return folder / "trainer_state.json"
