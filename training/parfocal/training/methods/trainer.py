"""TRL's SFTTrainer on rows that are already tokens and labels, so that it can neither cut nor drop any.

Computes single steps; `supervision` decides when to score, save or stop.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedTokenizerBase, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from parfocal.training.config import TrainConfig
from parfocal.training.data import Sample
from parfocal.training.evaluation import answer_logits
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.methods.adapter import adapter_weights
from parfocal.training.methods.ordered import Ordered, laid_out, settled, shared_arguments


class AnswerTrainer(Ordered, SFTTrainer):
    """Computes the loss over answers only, on as many CPU threads as `threads` finds best."""

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
        if num_items_in_batch is None:
            return losses.sum() / len(losses)
        # Of several processes: their gradients are averaged, and the tokens are those of all.
        return losses.sum() * self.accelerator.num_processes / num_items_in_batch


def build_trainer(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    samples: Sequence[Sample],
    arguments: SFTConfig,
    callback: TrainerCallback,
) -> AnswerTrainer:
    """Builds a trainer whose adapter weights are the model's own, in float32."""
    weights = adapter_weights(model)
    columns = {
        "input_ids": [sample.ids.tolist() for sample in samples],
        "labels": [sample.labels.tolist() for sample in samples],
    }
    trainer = AnswerTrainer(
        model=model,
        args=arguments,
        train_dataset=laid_out(columns, [sample.size for sample in samples], arguments),
        processing_class=tokenizer,
        callbacks=[callback],
    )
    settled(trainer, model, weights)
    return trainer


def arguments(
    config: TrainConfig, hyperparameters: Hyperparameters, folder: Path, device: torch.device
) -> SFTConfig:
    """The trainer's arguments; checkpoints go to `folder`, when the callback asks for one."""
    return SFTConfig(
        **shared_arguments(config, hyperparameters, folder, device),
        include_num_input_tokens_seen="non_padding",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
