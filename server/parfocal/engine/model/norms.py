"""What transformers' root-mean-square norms compute (arXiv 1910.07467), whichever architecture's they are."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class RmsNorm:
    """x / sqrt(mean(x²) + epsilon) * weight over the last dimension, in float32.

    With `rounds_first` the normalised numbers are rounded to x's type before they meet the weight.
    """

    weight: torch.Tensor
    epsilon: float
    rounds_first: bool


def rms_norm_of(module: nn.Module) -> RmsNorm | None:
    """What one of transformers' norms computes; None for any other module.

    Gemma's weights are offsets from 1 (arXiv 2403.08295).
    """
    kind = type(module).__name__
    if not kind.endswith("RMSNorm"):
        return None
    known: Any = module
    epsilon = known.eps if hasattr(known, "eps") else known.variance_epsilon
    weight, is_gemma = known.weight.data.float(), kind.startswith("Gemma")
    return RmsNorm(1.0 + weight if is_gemma else weight, float(epsilon), rounds_first=not is_gemma)
