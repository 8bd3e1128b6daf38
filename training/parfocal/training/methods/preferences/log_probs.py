"""How likely a model writes whole answers, and what it said before the first step. Trains nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from parfocal.training.computing import ThreadCount, thread_counts
from parfocal.training.data import MASKED, Sample
from parfocal.training.evaluation import answer_logits, padded

# From rows and a device to a figure for each of them.
Mark = Callable[[Sequence[Sample], torch.device], Tensor]


def log_probs(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """The log-probability of each row's learnt tokens together, `[rows]` in nats, in float32."""
    answers = answer_logits(model, batch)
    rows = torch.zeros(len(batch["input_ids"]), device=answers.logits.device)
    return rows.index_add(0, answers.rows, -answers.losses())


def score_answers(model: Any, samples: Sequence[Sample], batch_size: int, pad_id: int) -> list[float]:
    """The log-probability of every sample's answer, as `marked` computes it."""
    return marked(
        model, samples, batch_size, lambda chunk, device: log_probs(model, padded(chunk, pad_id, device))
    )


def marked(
    model: Any,
    samples: Sequence[Sample],
    batch_size: int,
    mark: Callable[[Sequence[Sample], torch.device], Tensor],
) -> list[float]:
    """What `mark` says of every sample, without gradients and without dropout.

    Batches are of similar length and depend on `samples` alone, so the figures do too. Restores the model's
    mode.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(samples)), key=lambda index: samples[index].size)
    threads = ThreadCount(thread_counts(device, torch.float32))
    found = [0.0] * len(samples)
    training = model.training
    model.eval()
    try:
        for at in range(0, len(order), batch_size):
            chunk = order[at : at + batch_size]
            rows = [samples[index] for index in chunk]
            with torch.no_grad(), threads.piece(sum(row.size for row in rows)):
                values = mark(rows, device)
            for index, value in zip(chunk, values.tolist(), strict=True):
                found[index] = value
    finally:
        model.train(training)
    return found


def answer_labels(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch with labels, where TRL's has a mask of the answers."""
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, MASKED)
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "labels": labels}


def answer_mask(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch with a mask of the answers, as TRL's trainers want it, where `padded` has labels."""
    mask = (batch["labels"] != MASKED).long()
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "completion_mask": mask,
    }
