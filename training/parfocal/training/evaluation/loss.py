"""The loss over answers: logits are computed only from the first learnt column on. Knows no trainer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from parfocal.training.computing import steady_cross_entropy
from parfocal.training.data import MASKED


@dataclass(frozen=True, slots=True)
class AnswerLogits:
    """The model's logits where an answer should be.

    `logits` are `[learnt, vocabulary]`, `targets` `[learnt]`; `rows` `[learnt]` is each one's row in the
    batch.
    """

    logits: Tensor
    targets: Tensor
    rows: Tensor

    def losses(self) -> Tensor:
        """The negative log-likelihood of every learnt token, `[learnt]`, in float32."""
        return steady_cross_entropy(self.logits, self.targets)


def answer_logits(model: Any, batch: Mapping[str, Tensor]) -> AnswerLogits:
    """Runs `model` on `input_ids`, `attention_mask` and `labels`, each `[rows, tokens]`.

    Prompts come first, so most columns of most batches need no logits: on a base with a large vocabulary
    the head is the most expensive layer. The model's own forward makes the logits, so soft-capping and
    scaling hold.
    """
    labels = batch["labels"][:, 1:]
    learnt = labels != MASKED
    first = int(learnt.any(dim=0).int().argmax())
    columns = torch.arange(first, labels.shape[1], device=labels.device)
    output = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        use_cache=False,
        logits_to_keep=columns,
    )
    chosen = learnt[:, first:]
    return AnswerLogits(output.logits[chosen], labels[:, first:][chosen], chosen.nonzero()[:, 0])
