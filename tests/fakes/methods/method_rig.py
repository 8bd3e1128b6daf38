"""Random answers on the small base, and a method's trainer over them."""

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from parfocal.engine import quiet_libraries
from parfocal.training import TrainConfig
from parfocal.training.data import MASKED, BaseEncoder, Judged, Learnable, Pair, Sample
from parfocal.training.data.rows import Row, Turn
from parfocal.training.hyperparameters import DataFacts, base_facts, choose
from parfocal.training.methods.adapter import Device, adapter_weights, add_adapter, load_base
from parfocal.training.methods.choosing import method_of
from parfocal.training.methods.method import Setting
from parfocal.training.methods.ordered import run_trainer
from parfocal.training.methods.schedule import Schedule

CPU = Device(torch.device("cpu"), torch.float32)
PROMPT = 7


def answers(count: int, seed: int = 0) -> list[Sample]:
    """Samples of a prompt of seven tokens and an answer of random ones."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for line in range(count):
        ids = torch.randint(3, 250, (PROMPT + 4 + line % 5,), generator=generator).tolist()
        row = Row("d", line, (Turn("user", f"p{line}"), Turn("assistant", "a", learn=True)), raw=True)
        labels = [MASKED] * PROMPT + ids[PROMPT:]
        made.append(Sample(row, array("i", ids), array("i", labels)))
    return made


def pairs(count: int) -> list[Pair]:
    """Pairs of random answers; which is better has no reason."""
    return [Pair(*both) for both in zip(answers(count, 1), answers(count, 2), strict=True)]


def judged(count: int) -> list[Judged]:
    """Random answers, every third one undesirable."""
    return [Judged(answer, at % 3 != 0) for at, answer in enumerate(answers(count, 3))]


def moved(weights: dict[str, torch.Tensor], far: float = 0.05) -> dict[str, torch.Tensor]:
    """The same adapter, somewhere else."""
    generator = torch.Generator().manual_seed(7)
    return {name: t + far * torch.randn(t.shape, generator=generator) for name, t in weights.items()}


class Rig:
    """A model on the small base with the trainer of a method."""

    def __init__(
        self, base: Path, folder: Path, rows: Sequence[Learnable], callback: TrainerCallback, **settings: Any
    ) -> None:
        config = TrainConfig(data=Path("d"), name="n", **({"steps": 6, "batch_size": 4} | settings))
        facts = base_facts(base)
        self.base = base
        self.hyperparameters = choose(config, DataFacts(len(rows), 16, 100), facts)
        setting = Setting(config, self.hyperparameters, BaseEncoder(base), CPU.device, folder)
        with quiet_libraries():
            self.model = add_adapter(
                load_base(base, facts, self.hyperparameters, CPU), config, self.hyperparameters
            )
            self.method = method_of(setting, rows)
            self.method.begin(self.model)
        self.trainer = self.build(callback)

    def build(self, callback: TrainerCallback | None = None) -> Any:
        """A trainer of the method on the model as it is now."""
        with quiet_libraries():
            trainer = self.method.build(self.model, callback or TrainerCallback())
        trainer.schedule = Schedule(self.hyperparameters)
        return trainer

    def run(self) -> dict[str, torch.Tensor]:
        """Trains to the end; returns the adapter."""
        with quiet_libraries():
            run_trainer(self.trainer, None)
        return adapter_weights(self.model)

    def batch(self, trainer: Any = None, size: int = 4) -> dict[str, torch.Tensor]:
        """The first rows of the run as its trainer gets them."""
        trainer = trainer or self.trainer
        return dict(trainer.data_collator([trainer.train_dataset[at] for at in range(size)]))


MakeRig = Callable[..., Rig]
