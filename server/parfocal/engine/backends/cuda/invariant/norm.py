"""Root-mean-square norms on CUDA whose rows get the same bits in every batch."""

import torch
import triton
from torch import nn

from parfocal.engine.backends.cuda.invariant.kernels import norm_kernel
from parfocal.engine.model import RmsNorm

# From here on a row does not fit four warps' registers.
_WIDE = 8192


class InvariantNorm(nn.Module):
    """A root-mean-square norm by one program for each row."""

    def __init__(self, norm: RmsNorm) -> None:
        super().__init__()
        self.norm = norm
        self._weight = norm.weight.contiguous()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the normalised `x` `[…, size]`, in its type."""
        x = x.contiguous()
        y, size = torch.empty_like(x), x.shape[-1]
        room = triton.next_power_of_2(size)
        norm_kernel[(x.numel() // size,)](
            y,
            x,
            self._weight,
            size,
            self.norm.epsilon,
            ROUNDS_FIRST=self.norm.rounds_first,
            ROOM=room,
            num_warps=8 if room >= _WIDE else 4,
        )
        return y
