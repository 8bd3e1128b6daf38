"""Root-mean-square normalisation by the native kernel."""

import torch
from torch import nn

from parfocal.engine.backends.native.library import Library
from parfocal.engine.model import rms_norm_of


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
    """Returns the native version of one of transformers' norms; None for any other module."""
    found = rms_norm_of(module)
    return None if found is None else NativeRmsNorm(library, found.weight, found.epsilon)
