"""Direct preference optimisation (arXiv:2305.18290) with TRL's trainer, on pairs in tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import TrainerCallback
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from parfocal.training.data import Pair, Sample
from parfocal.training.evaluation import padded
from parfocal.training.methods.adapter import adapter_weights
from parfocal.training.methods.method import Setting
from parfocal.training.methods.ordered import Ordered, laid_out, settled, shared_arguments
from parfocal.training.methods.preferences.beginning import Figures, FromBeginning
from parfocal.training.methods.preferences.log_probs import (
    answer_labels,
    answer_mask,
    log_probs,
    score_answers,
)


class PairTrainer(Ordered, DPOTrainer):
    """Widens the margin by which the preferred answer is likelier, against what the adapter began with."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Averages TRL's `sigmoid` loss over the pairs; on a GPU TRL's kernel does it without logits."""
        if return_outputs or inputs["input_ids"].device.type == "cuda":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-untyped-call]
        chosen, rejected = log_probs(model, answer_labels(inputs)).chunk(2)
        gained = (chosen - inputs["ref_chosen_logps"]) - (rejected - inputs["ref_rejected_logps"])
        return -logsigmoid(self.beta * gained).mean()


class Collator:
    """Pads pairs to a batch of TRL's: the preferred answers first, then the others."""

    def __init__(self, pairs: Sequence[Pair], beginning: Figures, pad_id: int) -> None:
        self._pairs = pairs
        self._beginning = beginning
        self._pad_id = pad_id

    def __call__(self, rows: Sequence[Mapping[str, int]]) -> dict[str, Tensor]:
        at = [row["at"] for row in rows]
        pairs = [self._pairs[index] for index in at]
        samples = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
        batch = answer_mask(padded(samples, self._pad_id, torch.device("cpu")))
        for side in ("chosen", "rejected"):
            batch[f"ref_{side}_logps"] = torch.tensor([self._beginning[side][index] for index in at])
        return batch


class Preference(FromBeginning):
    """`dpo`: what counts is how far the adapter has moved from where it began."""

    def __init__(self, setting: Setting, train: Sequence[Pair]) -> None:
        self._setting = setting
        self._train = train
        self.beginning: Figures = {}

    def begin(self, model: PeftModel) -> None:
        """Scores both answers of every pair."""
        self.beginning = {
            "chosen": self._scored(model, [pair.chosen for pair in self._train]),
            "rejected": self._scored(model, [pair.rejected for pair in self._train]),
        }

    def build(self, model: PeftModel, callback: TrainerCallback) -> PairTrainer:
        """TRL's trainer of pairs."""
        it = self._setting
        settings = DPOConfig(
            **shared_arguments(it.config, it.hyperparameters, it.folder, it.device),
            include_num_input_tokens_seen="non_padding",
            max_length=None,
            beta=it.hyperparameters.beta,
            disable_dropout=False,
        )
        weights = adapter_weights(model)
        rows = {"at": range(len(self._train))}
        trainer = PairTrainer(
            model=model,
            args=settings,
            data_collator=Collator(self._train, self.beginning, it.encoder.pad_id),
            train_dataset=laid_out(rows, [pair.size for pair in self._train], settings),
            processing_class=it.encoder.tokenizer,
            callbacks=[callback],
        )
        trainer.precompute_ref_logps = True
        settled(trainer, model, weights)
        return trainer

    def _scored(self, model: PeftModel, samples: Sequence[Sample]) -> list[float]:
        it = self._setting
        return score_answers(model, samples, it.hyperparameters.micro_batch, it.encoder.pad_id)
