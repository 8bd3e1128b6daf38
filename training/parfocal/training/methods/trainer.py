"""TRL's SFTTrainer on rows that are already tokens and labels, so that it can neither cut nor drop any.

Computes single steps; `supervision` decides when to score, save or stop.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import PreTrainedTokenizerBase, PrinterCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from parfocal.training.computing import ThreadCount, thread_counts
from parfocal.training.config import TrainConfig
from parfocal.training.data import Sample
from parfocal.training.evaluation import answer_logits
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.methods.adapter import adapter_weights, set_adapter_weights
from parfocal.training.methods.order import row_order
from parfocal.training.methods.schedule import Schedule

_LOGGED = 200  # at most this many points of the training loss: more would only cost time


class AnswerTrainer(SFTTrainer):
    """Computes the loss over answers only, on as many CPU threads as `threads` finds best."""

    threads: ThreadCount
    schedule: Schedule

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """The learning rate as `schedule` says."""
        of: Any = self.optimizer if optimizer is None else optimizer
        scheduler = LambdaLR(of, lambda step: self.schedule.factor(step))
        self.lr_scheduler = scheduler
        return scheduler

    def training_step(self, model: Any, inputs: dict[str, Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Takes the gradient of one micro-batch and returns its loss."""
        with self.threads.piece(inputs["input_ids"].numel()):
            loss: Tensor = super().training_step(model, inputs, *args, **kwargs)  # type: ignore[no-untyped-call]
        return loss

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Averages the loss over every learnt token of the whole step, however it is split up.

        On a GPU TRL's own kernel does it without holding the logits; it has no such kernel for CPUs, where it
        computes the head three times over all tokens. Both give the same loss.
        """
        if return_outputs or inputs["input_ids"].device.type == "cuda":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-untyped-call]
        losses = answer_logits(model, inputs).losses()
        return losses.sum() / (len(losses) if num_items_in_batch is None else num_items_in_batch)


def build_trainer(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    samples: Sequence[Sample],
    arguments: SFTConfig,
    callback: TrainerCallback,
) -> AnswerTrainer:
    """Builds a trainer whose adapter weights are the model's own, in float32.

    TRL turns the adapter of a quantised base into bfloat16, where small updates vanish; this undoes it
    exactly.
    """
    weights = adapter_weights(model)
    trainer = AnswerTrainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(samples, arguments),
        processing_class=tokenizer,
        callbacks=[callback],
    )
    base = model.get_input_embeddings().weight
    trainer.threads = ThreadCount(thread_counts(base.device, base.dtype))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    set_adapter_weights(model, weights)
    trainer.remove_callback(PrinterCallback)
    return trainer


def run_trainer(trainer: AnswerTrainer, checkpoint: Path | None) -> None:
    """Trains to the end, or until the callback stops it, from `checkpoint` if there is one."""
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def arguments(
    config: TrainConfig, hyperparameters: Hyperparameters, folder: Path, device: torch.device
) -> SFTConfig:
    """The trainer's arguments; checkpoints go to `folder`, when the callback asks for one."""
    return SFTConfig(
        output_dir=str(folder),
        max_steps=hyperparameters.steps,
        per_device_train_batch_size=hyperparameters.micro_batch,
        gradient_accumulation_steps=hyperparameters.accumulation,
        learning_rate=hyperparameters.learning_rate,
        optim="adamw_torch",
        weight_decay=0.0,
        adam_beta2=0.999,
        max_grad_norm=1.0,
        seed=config.seed,
        train_sampling_strategy="sequential",
        logging_strategy="steps",
        logging_steps=max(1, hyperparameters.steps // _LOGGED),
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=[],
        include_num_input_tokens_seen="non_padding",
        disable_tqdm=True,
        bf16=False,
        use_cpu=device.type == "cpu",
        gradient_checkpointing=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )


def _dataset(samples: Sequence[Sample], arguments: SFTConfig) -> Dataset:
    """The rows in the order they are learnt: every step of the run, one after the other."""
    columns: Mapping[str, list[Any]] = {
        "input_ids": [sample.ids.tolist() for sample in samples],
        "labels": [sample.labels.tolist() for sample in samples],
    }
    batch = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
    lengths = [len(sample.ids) for sample in samples]
    order = row_order(lengths, batch, arguments.max_steps, arguments.seed)
    return Dataset.from_dict(dict(columns)).select(order)
