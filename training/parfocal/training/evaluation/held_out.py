"""Scores a model on the held-out rows: loss and token accuracy of the answers. Does not change the model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from parfocal.training.computing import ThreadCount, thread_counts
from parfocal.training.data import MASKED, Sample
from parfocal.training.evaluation.loss import answer_logits


@dataclass(frozen=True, slots=True)
class Score:
    """How well answers are predicted: `loss` in nats per token, `token_accuracy` from 0 to 1.

    `row_losses` has the mean loss of every row in the order given, so that two scores can be compared in
    pairs.
    """

    loss: float
    token_accuracy: float
    tokens: int
    row_losses: tuple[float, ...]

    @property
    def figures(self) -> Mapping[str, float]:
        """What is shown beside the loss."""
        return {"token_accuracy": self.token_accuracy}

    @property
    def merits(self) -> Mapping[str, tuple[float, ...]]:
        """What grows row by row as the loss falls."""
        return {"loss": tuple(-loss for loss in self.row_losses)}


class HeldOut:
    """The held-out rows as batches of similar length, made once and scored many times."""

    relative = False

    def __init__(self, samples: Sequence[Sample], batch_size: int, pad_id: int, device: torch.device) -> None:
        self.examples = len(samples)
        order = sorted(range(len(samples)), key=lambda index: len(samples[index].ids))
        chunks = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
        self._threads = ThreadCount(thread_counts(device, torch.float32))
        self._batches = [(chunk, padded([samples[i] for i in chunk], pad_id, device)) for chunk in chunks]

    def refer(self, model: Any) -> Score:
        """Scores the base; later scores do not depend on it."""
        return self.score(model)

    def score(self, model: Any) -> Score:
        """Scores `model`, and restores the mode it was in.

        Draws no random numbers and takes no gradients. The caller keeps the base from being repacked.
        """
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                return self._score(model)
        finally:
            model.train(training)

    def _score(self, model: Any) -> Score:
        rows = [0.0] * self.examples
        total, correct, tokens = 0.0, 0, 0
        for chunk, batch in self._batches:
            with self._threads.piece(batch["input_ids"].numel()):
                answers = answer_logits(model, batch)
            losses = answers.losses().double()
            correct += int((answers.logits.argmax(dim=-1) == answers.targets).sum())
            total += float(losses.sum())
            tokens += len(losses)
            for index, loss in zip(chunk, _means(losses, answers.rows, len(chunk)), strict=True):
                rows[index] = loss
        return Score(total / tokens, correct / tokens, tokens, tuple(rows))


def padded(samples: Sequence[Sample], pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """One batch: `input_ids`, `attention_mask` and `labels`, each `[rows, tokens]`, padded on the right."""
    longest = max(len(sample.ids) for sample in samples)
    fills = (("input_ids", pad_id), ("attention_mask", 0), ("labels", MASKED))
    batch = {name: torch.full((len(samples), longest), fill) for name, fill in fills}
    for row, sample in enumerate(samples):
        size = len(sample.ids)
        batch["input_ids"][row, :size] = torch.tensor(sample.ids.tolist())
        batch["attention_mask"][row, :size] = 1
        batch["labels"][row, :size] = torch.tensor(sample.labels.tolist())
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _means(losses: Tensor, rows: Tensor, count: int) -> Iterator[float]:
    sums = torch.zeros(count, dtype=losses.dtype, device=losses.device).index_add_(0, rows, losses)
    sizes = torch.bincount(rows, minlength=count).clamp(min=1)
    yield from (sums / sizes).tolist()
