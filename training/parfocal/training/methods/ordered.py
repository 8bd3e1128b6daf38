"""What every method's trainer has in common: the rows in an order laid out beforehand, rate and threads.

The trainers themselves are TRL's; `supervision` decides when to score, save or stop.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import PrinterCallback, Trainer

from parfocal.training.computing import ThreadCount, thread_counts
from parfocal.training.config import TrainConfig
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.methods.adapter import set_adapter_weights
from parfocal.training.methods.order import row_order
from parfocal.training.methods.schedule import Schedule

_LOGGED = 200  # at most this many points of the training loss: more would only cost time


class Ordered:
    """Mixed into one of TRL's trainers: the rate of `schedule`, on as many CPU threads as are fastest."""

    threads: ThreadCount
    schedule: Schedule
    optimizer: Any
    lr_scheduler: Any

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """The learning rate as `schedule` says."""
        of: Any = self.optimizer if optimizer is None else optimizer
        scheduler = LambdaLR(of, lambda step: self.schedule.factor(step))
        self.lr_scheduler = scheduler
        return scheduler

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Takes the gradient of one micro-batch and returns its loss."""
        with self.threads.piece(self.size_of(inputs)):
            return super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]  # the trainer's

    def size_of(self, inputs: Any) -> int:
        """How much work a micro-batch is, in tokens."""
        return int(inputs["input_ids"].numel())

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        """Leaves the rows as they are: they are tokens already."""
        return dataset

    def _send_telemetry(self) -> None:
        """TRL would tell the Hub of every run; a run is nobody else's business."""


def settled(trainer: Any, model: PeftModel, weights: Mapping[str, torch.Tensor]) -> None:
    """Undoes what TRL's constructor did to the adapter, whose weights were `weights`.

    TRL turns the adapter of a quantised base into bfloat16, where small updates vanish. To some methods it
    gives a frozen copy named `ref`, of which what the run remembers of its beginning takes the place.
    """
    if "ref" in model.peft_config:
        model.delete_adapter("ref")
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    set_adapter_weights(model, weights)
    base = model.get_input_embeddings().weight
    trainer.threads = ThreadCount(thread_counts(base.device, base.dtype))
    trainer.remove_callback(PrinterCallback)


def shared_arguments(
    config: TrainConfig, hyperparameters: Hyperparameters, folder: Path, device: torch.device
) -> dict[str, Any]:
    """The arguments that all of TRL's trainers take; checkpoints go to `folder`, when the callback asks."""
    return {
        "output_dir": str(folder),
        "max_steps": hyperparameters.steps,
        "per_device_train_batch_size": hyperparameters.micro_batch,
        "gradient_accumulation_steps": hyperparameters.accumulation,
        "learning_rate": hyperparameters.learning_rate,
        "optim": "adamw_torch",
        "weight_decay": 0.0,
        "adam_beta2": 0.999,
        "max_grad_norm": 1.0,
        "seed": config.seed,
        "train_sampling_strategy": "sequential",
        "logging_strategy": "steps",
        "logging_steps": max(1, hyperparameters.steps // _LOGGED),
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "bf16": False,
        "use_cpu": device.type == "cpu",
        "gradient_checkpointing": False,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
        "ddp_find_unused_parameters": False,
    }


def laid_out(columns: Mapping[str, Sequence[Any]], lengths: Sequence[int], arguments: Any) -> Dataset:
    """The rows in the order they are learnt: every step of the run, one after the other."""
    in_one = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
    batch = in_one * arguments.world_size
    order = row_order(lengths, batch, arguments.max_steps, arguments.seed)
    return Dataset.from_dict({name: list(values) for name, values in columns.items()}).select(order)


def run_trainer(trainer: Trainer, checkpoint: Path | None) -> None:
    """Trains to the end, or until the callback stops it, from `checkpoint` if there is one."""
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
