"""Learning to score answers from pairs (Bradley-Terry) with TRL's trainer, and the score itself.

The score is read off the base's own head, so a reward adapter is an adapter like any other: nothing is saved
beside LoRA, and whatever serves it can score. It is by how much the logit of the token `1` is above that of
`0` after the token that ends the answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import TrainerCallback
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from parfocal.training.data import MASKED, BaseEncoder, Pair, Sample
from parfocal.training.errors import BaseUnfit
from parfocal.training.evaluation import padded
from parfocal.training.methods.adapter import adapter_weights
from parfocal.training.methods.method import RowMarks, Setting
from parfocal.training.methods.ordered import Ordered, laid_out, settled, shared_arguments
from parfocal.training.methods.preferences.log_probs import marked
from parfocal.training.methods.preferences.measures import softplus

_GOOD, _BAD = "1", "0"


@dataclass(frozen=True, slots=True)
class Readout:
    """The two tokens whose logits make the score."""

    good: int
    bad: int

    @classmethod
    def of(cls, encoder: BaseEncoder) -> "Readout":
        """Raises BaseUnfit if the tokenizer does not tell them apart."""
        good, bad = (encoder.encode(text, special=False)[-1:] for text in (_GOOD, _BAD))
        if not good or not bad or good == bad:
            raise BaseUnfit(
                f"the base's tokenizer has no tokens of their own for {_GOOD} and {_BAD}, from which a "
                "reward is read; train with --method dpo, or on another base",
                field="base",
            )
        return cls(good[0], bad[0])

    def scores(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """The score of each row of `input_ids`, `attention_mask`, `last`: `[rows]`, in float32."""
        places, of_row = batch["last"].unique(return_inverse=True)
        output = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            use_cache=False,
            logits_to_keep=places,
        )
        ends = output.logits[torch.arange(len(of_row), device=of_row.device), of_row].float()
        scores: Tensor = ends[:, self.good] - ends[:, self.bad]
        return scores


def scored_batch(samples: Sequence[Sample], pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """A batch with `last`, the place of each row's last learnt token, where its score is read."""
    batch = padded(samples, pad_id, device)
    last = [max(at for at, label in enumerate(sample.labels) if label != MASKED) for sample in samples]
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "last": torch.tensor(last, device=device),
    }


class ScoreTrainer(Ordered, RewardTrainer):
    """Raises the score of the preferred answer above that of the other."""

    readout: Readout

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Averages TRL's loss over the pairs."""
        chosen, rejected = self.readout.scores(model, inputs).chunk(2)
        return -logsigmoid(chosen - rejected).mean()


class Scoring:
    """`reward`: nothing of the beginning matters later."""

    def __init__(self, setting: Setting, train: Sequence[Pair]) -> None:
        self._setting = setting
        self._train = train
        self._readout = Readout.of(setting.encoder)

    def begin(self, model: PeftModel) -> None:
        """Notes nothing."""

    def keep(self, folder: Path) -> None:
        """Writes nothing."""

    def restore(self, folder: Path) -> None:
        """Reads nothing."""

    def build(self, model: PeftModel, callback: TrainerCallback) -> ScoreTrainer:
        """TRL's trainer of rewards, told that the model has one output, as the score is."""
        it = self._setting
        settings = RewardConfig(
            **shared_arguments(it.config, it.hyperparameters, it.folder, it.device),
            include_num_input_tokens_seen="non_padding",
            max_length=None,
            disable_dropout=False,
        )
        weights = adapter_weights(model)
        model.config.num_labels = 1
        trainer = ScoreTrainer(
            model=model,
            args=settings,
            data_collator=self._batch,
            train_dataset=laid_out(
                {"at": range(len(self._train))}, [pair.size for pair in self._train], settings
            ),
            processing_class=it.encoder.tokenizer,
            callbacks=[callback],
        )
        trainer.readout = self._readout
        settled(trainer, model, weights)
        return trainer

    def _batch(self, rows: Sequence[Mapping[str, int]]) -> dict[str, Tensor]:
        pairs = [self._train[row["at"]] for row in rows]
        samples = [pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]
        return scored_batch(samples, self._setting.encoder.pad_id, torch.device("cpu"))


class ScoreMeasure:
    """By how much the preferred answer scores above the other (`margin`), and how often it does."""

    relative = False

    def __init__(self, pairs: Sequence[Pair], batch_size: int, encoder: BaseEncoder) -> None:
        self.examples = len(pairs)
        self._pairs = pairs
        self._batch_size = batch_size
        self._pad_id = encoder.pad_id
        self._readout = Readout.of(encoder)

    def refer(self, model: Any) -> RowMarks:
        """Marks the base; later marks do not depend on it."""
        return self.score(model)

    def score(self, model: Any) -> RowMarks:
        """Marks `model`."""
        sides = [pair.chosen for pair in self._pairs], [pair.rejected for pair in self._pairs]
        chosen, rejected = (
            scores_of(model, self._readout, side, self._batch_size, self._pad_id) for side in sides
        )
        margins = tuple(better - worse for better, worse in zip(chosen, rejected, strict=True))
        loss = sum(softplus(-margin) for margin in margins) / len(margins)
        right = tuple(float(margin > 0) for margin in margins)
        return RowMarks(loss, {"margin": margins, "pair_accuracy": right})


def scores_of(
    model: Any, readout: Readout, samples: Sequence[Sample], batch_size: int, pad_id: int
) -> list[float]:
    """The score of every sample, without gradients and without dropout."""
    return marked(
        model,
        samples,
        batch_size,
        lambda chunk, device: readout.scores(model, scored_batch(chunk, pad_id, device)),
    )
