"""The base's modules that stay in float32, by native kernels: norms, and linears that are not in 4 bit.

Rows get the same bits in every batch. Knows no adapters.
"""

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
        """The normalised `x` `[…, size]`."""
        x = x.contiguous()
        out, size = torch.empty_like(x), x.shape[-1]
        rows = x.numel() // size
        self._kernel(x.data_ptr(), self.scale.data_ptr(), out.data_ptr(), rows, size, self.epsilon)
        return out


class NativeDense(nn.Module):
    """y = W x + bias for a `weight` `[out, in]` that may be somebody else's too, such as the embedding's."""

    def __init__(self, library: Library, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._weight, self._bias = weight.contiguous(), None if bias is None else bias.contiguous()
        self._kernel = library.dense

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[…, rows, out]` for float32 `x` `[…, rows, in]`."""
        x = x.contiguous()
        y = torch.empty(*x.shape[:-1], self.out_features)
        self._kernel(
            self._weight.data_ptr(),
            None if self._bias is None else self._bias.data_ptr(),
            x.data_ptr(),
            y.data_ptr(),
            x.numel() // self.in_features,
            self.in_features,
            self.out_features,
        )
        return y


def replaced(library: Library, module: nn.Module) -> NativeRmsNorm | None:
    """The native version of one of transformers' norms; None for any other module."""
    found = rms_norm_of(module)
    return None if found is None else NativeRmsNorm(library, found.weight, found.epsilon)
