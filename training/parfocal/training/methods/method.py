"""What a method adds to a run: a trainer, a measure, and what it must remember to be resumed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from peft import PeftModel
from transformers import TrainerCallback

from parfocal.training.config import TrainConfig
from parfocal.training.data import BaseEncoder
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.rewards import GuardedRewards
from parfocal.training.runs import shown


@dataclass(frozen=True, slots=True)
class Setting:
    """What a method is told of its run; `folder` is where checkpoints go, `rewards` are grpo's."""

    config: TrainConfig
    hyperparameters: Hyperparameters
    encoder: BaseEncoder
    device: torch.device
    folder: Path
    rewards: GuardedRewards | None = None

    def close(self) -> None:
        """Gives back what the rewards hold."""
        if self.rewards is not None:
            self.rewards.close()


class Marks(Protocol):
    """How a model did on rows: `loss` is what choosing lowers.

    `figures` are the means over rows by name; `merits` are the same row by row, higher the better.
    """

    @property
    def loss(self) -> float: ...

    @property
    def figures(self) -> Mapping[str, float]: ...

    @property
    def merits(self) -> Mapping[str, tuple[float, ...]]: ...


class Measure(Protocol):
    """Marks a model on rows of its own, and leaves the model as it was."""

    @property
    def examples(self) -> int:
        """How many rows are marked."""

    @property
    def relative(self) -> bool:
        """Whether later marks depend on the base's, so that a resumed run must have them again."""

    def refer(self, model: Any) -> Marks:
        """Marks the base, before any other model."""

    def score(self, model: Any) -> Marks:
        """Marks `model`."""


class Method(Protocol):
    """One way to train."""

    def begin(self, model: PeftModel) -> None:
        """Notes what the adapter says before its first step, if that matters."""

    def keep(self, folder: Path) -> None:
        """Writes into a checkpoint what the run must remember of its beginning."""

    def restore(self, folder: Path) -> None:
        """Reads what `keep` wrote."""

    def build(self, model: PeftModel, callback: TrainerCallback) -> Any:
        """The trainer of the rows to learn."""


@dataclass(frozen=True, slots=True)
class RowMarks:
    """Marks whose figures are the means of what is measured row by row, higher the better."""

    loss: float
    merits: Mapping[str, tuple[float, ...]]

    @property
    def figures(self) -> Mapping[str, float]:
        return {name: sum(values) / len(values) for name, values in self.merits.items()}


def in_words(figures: Mapping[str, float]) -> str:
    """The figures in one line; shares as percentages."""
    return ", ".join(f"{name.replace('_', ' ')} {shown(name, value)}" for name, value in figures.items())
