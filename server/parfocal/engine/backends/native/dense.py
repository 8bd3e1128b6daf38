"""A linear in float32 whose rows get the same bits in every batch. Knows no adapters."""

import torch
from torch import nn

from parfocal.engine.backends.native.library import Library


class NativeDense(nn.Module):
    """y = W x + bias for a `weight` `[out, in]` that may be somebody else's too, such as the embedding's."""

    def __init__(self, library: Library, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._weight, self._bias = weight.contiguous(), None if bias is None else bias.contiguous()
        self._kernel = library.dense

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns `[…, rows, out]` for float32 `x` `[…, rows, in]`."""
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
