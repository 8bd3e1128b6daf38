"""Faster linears for CPUs that multiply bfloat16 in hardware. Not for exact arithmetic; knows no adapters.

With few rows, bitsandbytes' own module spends more time in Python than in its kernel; with many, its kernel
loses to a dense product.
"""

import copy
from typing import Any

import torch
from bitsandbytes.functional import QuantState, dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit
from torch import nn

# Two Zen 4 cores, the 210 linears of a 135 M Llama: at 64 rows the 4-bit kernel takes 55 ms against
# 42 and 40 for a dense product and dequantising, at 256 rows 198 against 131 and 40.
MOST_PACKED_ROWS = 192

# Logits this close to the highest, relative to it, are recomputed in float32: bfloat16 may have swapped them.
_NEAR = 2.0**-5


class PackedLinear(nn.Module):
    """y = W₄(x) + bias: by the packed 4-bit kernel for few rows, by a dense bfloat16 product for many."""

    def __init__(self, base: Linear4bit) -> None:
        super().__init__()
        self.in_features, self.out_features = base.in_features, base.out_features
        weight: Any = base.weight  # bitsandbytes' Params4bit, which adds to a tensor the state of its numbers
        self._weight: torch.Tensor = weight.data
        self._state: QuantState = copy.deepcopy(weight.quant_state)
        self._state.dtype = torch.bfloat16
        base(torch.zeros(1, base.in_features))  # packs the weight, in place
        packed: QuantState = weight.quant_state
        self._packed: torch.Tensor = weight.data
        self._layout = (packed.shape, packed.absmax, packed.code, packed.blocksize)
        self._bias = None if base.bias is None else base.bias.data

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[…, rows, out]` for `x` `[…, rows, in]`, in x's dtype."""
        rows = x.reshape(-1, x.shape[-1]).to(torch.bfloat16)
        y: torch.Tensor
        if rows.shape[0] <= MOST_PACKED_ROWS:
            y = torch.ops.bitsandbytes.gemv_4bit.default(rows, self._packed, *self._layout)
        else:
            y = rows @ dequantize_4bit(self._weight, self._state).t()
        y = y.to(x.dtype).view(*x.shape[:-1], -1)
        return y if self._bias is None else y.add_(self._bias.to(x.dtype))


class Bfloat16Head(nn.Module):
    """The output head in bfloat16; recomputes every logit near the highest in float32."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self._weight = head.weight.data.to(torch.bfloat16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `[1, rows, vocabulary]` in float32 for `x` `[1, rows, hidden]`."""
        rows = x[0]
        logits = (rows.to(torch.bfloat16) @ self._weight.t()).float()
        top = logits.amax(-1, keepdim=True)
        row, token = (logits >= top - _NEAR * top.abs()).nonzero(as_tuple=True)
        logits[row, token] = (rows[row].float() * self._weight[token].float()).sum(-1)
        return logits[None]


def is_fast_here(model: nn.Module) -> bool:
    """Whether bitsandbytes has found such a CPU and may use it."""
    first = next((m for m in model.modules() if isinstance(m, Linear4bit)), None)
    return first is not None and first.weight.device.type == "cpu" and bool(first.support_avx512bf16_for_cpu)


@torch.inference_mode()
def speed_up(model: nn.Module) -> None:
    """Replaces the model's 4-bit linears and its head, in place."""
    for path, module in tuple(model.named_modules()):
        if isinstance(module, Linear4bit):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, PackedLinear(module))
    if isinstance(model.lm_head, nn.Linear):
        model.lm_head = Bfloat16Head(model.lm_head)
