"""KTO (Ethayarajh et al., arXiv:2402.01306) with TRL's trainer, on judged answers in tokens."""

import random
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import TrainerCallback
from trl.trainer.kto_config import KTOConfig
from trl.trainer.kto_trainer import KTOTrainer

from parfocal.training.data import MASKED, Judged, Sample
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


class JudgedTrainer(Ordered, KTOTrainer):
    """Makes desirable answers likelier and the others less likely than when the adapter began."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Averages TRL's `kto` loss over the rows; on a GPU TRL's kernel does it without logits."""
        if return_outputs or inputs["input_ids"].device.type == "cuda":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            strange = log_probs(model, answer_labels(strangers_of(inputs)))
        apart = (strange - inputs["ref_KL_logps"]).mean()
        apart = self.accelerator.gather(apart).mean().clamp(min=0)
        gained = log_probs(model, answer_labels(inputs)) - inputs["ref_logps"]
        good = inputs["label"]
        losses = 1 - torch.sigmoid(self.beta * torch.where(good, gained - apart, apart - gained))
        return (losses * torch.where(good, self.desirable_weight, self.undesirable_weight)).mean()


def strangers_of(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of a batch that pairs prompts with answers to others, from which the KL is estimated."""
    return {name: batch[f"KL_{name}"] for name in ("input_ids", "attention_mask", "completion_mask")}


class Collator:
    """Pads judged answers to a batch of TRL's, beside the same prompts with the answers of strangers."""

    def __init__(
        self, rows: Sequence[Judged], strangers: Sequence[Sample], beginning: Figures, pad_id: int
    ) -> None:
        self._rows = rows
        self._strangers = strangers
        self._beginning = beginning
        self._pad_id = pad_id

    def __call__(self, rows: Sequence[Mapping[str, int]]) -> dict[str, Tensor]:
        at = [row["at"] for row in rows]
        cpu = torch.device("cpu")
        batch = answer_mask(padded([self._rows[index].answer for index in at], self._pad_id, cpu))
        strange = answer_mask(padded([self._strangers[index] for index in at], self._pad_id, cpu))
        return batch | {
            **{f"KL_{name}": tensor for name, tensor in strange.items()},
            "label": torch.tensor([self._rows[index].desirable for index in at]),
            "ref_logps": torch.tensor([self._beginning["answers"][index] for index in at]),
            "ref_KL_logps": torch.tensor([self._beginning["strangers"][index] for index in at]),
        }


class Judgement(FromBeginning):
    """`kto`: what counts is how far the adapter has moved from where it began.

    TRL pairs each prompt with the answer of the row before it in its batch. Here the stranger is drawn once
    for the whole run, among answers to other prompts, so that what the adapter said of it before the first
    step is known.
    """

    def __init__(self, setting: Setting, train: Sequence[Judged]) -> None:
        self._setting = setting
        self._train = train
        limit = setting.hyperparameters.max_length
        self._strangers = strangers([row.answer for row in train], setting.config.seed, limit)
        self.beginning: Figures = {}

    def begin(self, model: PeftModel) -> None:
        """Scores every answer, and every stranger's."""
        it = self._setting
        for name, samples in (
            ("answers", [row.answer for row in self._train]),
            ("strangers", self._strangers),
        ):
            scores = score_answers(model, samples, it.hyperparameters.micro_batch, it.encoder.pad_id)
            self.beginning = {**self.beginning, name: scores}

    def build(self, model: PeftModel, callback: TrainerCallback) -> JudgedTrainer:
        """TRL's trainer of judged answers."""
        it = self._setting
        desirable, undesirable = class_weights([row.desirable for row in self._train])
        settings = KTOConfig(
            **shared_arguments(it.config, it.hyperparameters, it.folder, it.device),
            include_num_input_tokens_seen="non_padding",
            max_length=None,
            beta=it.hyperparameters.beta,
            desirable_weight=desirable,
            undesirable_weight=undesirable,
            disable_dropout=False,
        )
        weights = adapter_weights(model)
        # TRL looks at the labels' balance; the tokens are the collator's.
        rows = {"at": range(len(self._train)), "label": [row.desirable for row in self._train]}
        trainer = JudgedTrainer(
            model=model,
            args=settings,
            data_collator=Collator(self._train, self._strangers, self.beginning, it.encoder.pad_id),
            train_dataset=laid_out(rows, [row.size for row in self._train], settings),
            processing_class=it.encoder.tokenizer,
            callbacks=[callback],
        )
        trainer.precompute_ref_logps = True
        settled(trainer, model, weights)
        return trainer


def class_weights(desirable: Sequence[bool]) -> tuple[float, float]:
    """The weights of desirable and of undesirable rows: the rarer kind counts as much as the other together.

    The paper's bounds are 1 to 4/3 for the ratio of the two sums (its equation 8).
    """
    good = sum(desirable)
    bad = len(desirable) - good
    if not good or not bad or good == bad:
        return 1.0, 1.0
    return (bad / good, 1.0) if good < bad else (1.0, good / bad)


def strangers(answers: Sequence[Sample], seed: int, limit: int) -> tuple[Sample, ...]:
    """Each row's prompt with another row's answer, drawn by `seed`; to another prompt, if there is one."""
    chance = random.Random(f"strangers/{seed}")
    keys = [answer.row.prompt_key() for answer in answers]
    found = []
    for at in range(len(answers)):
        others = (chance.randrange(len(answers)) for _ in range(8))
        other = next((index for index in others if keys[index] != keys[at]), (at + 1) % len(answers))
        found.append(joined(answers[at], answers[other]).cut(limit))
    return tuple(found)


def joined(prompt: Sample, answer: Sample) -> Sample:
    """What comes before the first learnt token of `prompt`, with what comes from there on in `answer`."""
    before, after = begin_of(prompt), begin_of(answer)
    ids = prompt.ids[:before] + answer.ids[after:]
    labels = array("i", [MASKED] * before) + answer.labels[after:]
    return replace(answer, ids=ids, labels=labels)


def begin_of(sample: Sample) -> int:
    """Where the first answer begins."""
    return next(at for at, label in enumerate(sample.labels) if label != MASKED)
