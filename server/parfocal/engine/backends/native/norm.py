"""Root-mean-square normalisation by the native kernel."""

from typing import Any

import torch
from torch import nn

from parfocal.engine.backends.native.library import Library


class NativeRmsNorm(nn.Module):
    """x / sqrt(mean(x²) + epsilon) * weight over the last dimension, in float32."""

    def __init__(self, library: Library, weight: torch.Tensor, epsilon: float) -> None:
        super().__init__()
        self._kernel, self.scale, self.epsilon = library.rms_norm, weight.float().contiguous(), epsilon

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the normalised `x` `[…, size]`."""
        x = x.contiguous()
        out, size = torch.empty_like(x), x.shape[-1]
        rows = x.numel() // size
        self._kernel(x.data_ptr(), self.scale.data_ptr(), out.data_ptr(), rows, size, self.epsilon)
        return out


def replaced(library: Library, module: nn.Module) -> NativeRmsNorm | None:
    """Returns the native version of one of transformers' norms; None for any other module.

    Gemma's weights are offsets from 1 (arXiv 2403.08295).
    """
    kind = type(module).__name__
    if not kind.endswith("RMSNorm"):
        return None
    known: Any = module
    epsilon = known.eps if hasattr(known, "eps") else known.variance_epsilon
    weight = known.weight.data.float()
    return NativeRmsNorm(library, 1.0 + weight if kind.startswith("Gemma") else weight, float(epsilon))
