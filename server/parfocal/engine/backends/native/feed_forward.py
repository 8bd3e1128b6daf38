"""The gated feed-forward layer with its activation in one pass."""

from typing import Any

import torch
from torch import nn

from parfocal.engine.backends.native.library import Library


class NativeFeedForward(nn.Module):
    """down(silu(gate(x)) * up(x)), float32, around the layer's own three linears."""

    def __init__(self, library: Library, layer: Any) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = layer.gate_proj, layer.up_proj, layer.down_proj
        self._kernel = library.silu_times

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[…, hidden]` for `x` `[…, hidden]`."""
        gate, up = self.gate_proj(x).contiguous(), self.up_proj(x).contiguous()
        self._kernel(gate.data_ptr(), up.data_ptr(), gate.numel())
        answer: torch.Tensor = self.down_proj(gate)
        return answer


def is_silu_gated(module: nn.Module) -> bool:
    """Whether the module computes down(silu(gate(x)) * up(x)) with linears of these names."""
    linears = all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj"))
    activation = getattr(module, "act_fn", None)
    return linears and (isinstance(activation, nn.SiLU) or type(activation).__name__ == "SiLUActivation")
