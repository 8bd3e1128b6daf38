"""The log-probabilities of tokens that are given, not drawn, and of the likeliest in their places."""

from typing import NamedTuple

import torch


class Scores(NamedTuple):
    """Log-probabilities: `chosen` [places] of the targets, `top` [places, width] of the likeliest, `ids`.

    `chosen` is NaN where the logits are broken.
    """

    chosen: torch.Tensor
    top: torch.Tensor
    ids: torch.Tensor


def score(logits: torch.Tensor, targets: torch.Tensor, width: int) -> Scores:
    """Scores `targets` [places] in float32 `logits` [places, vocabulary] and the `width` likeliest.

    Overwrites `logits`.
    """
    chosen = logits.gather(1, targets[:, None])
    best = logits.topk(min(width, logits.shape[-1]), dim=-1)
    # Twice as fast on a CPU as torch's own logsumexp, and in no other memory.
    peaks = logits.amax(dim=-1, keepdim=True)
    sums = logits.sub_(peaks).exp_().sum(dim=-1, keepdim=True).log_().add_(peaks)
    return Scores((chosen - sums).squeeze(1), best.values - sums, best.indices)
