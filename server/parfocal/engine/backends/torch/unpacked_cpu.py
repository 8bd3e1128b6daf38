"""Faster linears for CPUs without bfloat16 arithmetic: each 4-bit weight is dequantised once, not per step.

The values are those of the 4-bit weights, so results are exact; the price is memory, eight times that of the
packed weights. Knows no adapters.
"""

from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit
from torch import nn
from torch.nn import functional

from parfocal.engine.devices import machine_bytes

# Up to this many rows the head's weight is the left operand: the library packs the right one anew for each
# product, and at few rows that is most of the work.
_MOST_HEAD_ROWS = 48

# The part of the machine's memory that unpacked weights may take by default.
_MEMORY_PART = 4


class UnpackedLinear(nn.Module):
    """y = x Wᵀ + bias in float32.

    Wᵀ is held `[in, out]`: at 16 rows the 210 linears of a 135 M Llama take 47 ms on two Cascade Lake cores,
    107 if W is held `[out, in]`, and 255 if it is dequantised each time.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._turned, self._bias = weight.t().contiguous(), bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[…, rows, out]` for `x` `[…, rows, in]`."""
        y = x @ self._turned
        return y if self._bias is None else y.add_(self._bias)


class TiedHead(nn.Module):
    """The output head, whose weight `[vocabulary, hidden]` may be the embedding's and so stays as it is."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self._weight, self._bias = head.weight.data, None if head.bias is None else head.bias.data

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `[1, rows, vocabulary]` for `x` `[1, rows, hidden]`."""
        if x.shape[1] == 1 or x.shape[1] > _MOST_HEAD_ROWS:
            return functional.linear(x, self._weight, self._bias)
        logits = (self._weight @ x[0].t()).t().contiguous()[None]
        return logits if self._bias is None else logits.add_(self._bias)


def unpacked_bytes(model: nn.Module) -> int:
    """The bytes of the 4-bit linears as float32; 0 unless they compute in it, on a CPU."""
    linears = [module for module in model.modules() if isinstance(module, Linear4bit)]
    if any(m.weight.device.type != "cpu" or m.compute_dtype is not torch.float32 for m in linears):
        return 0
    return sum(4 * m.in_features * m.out_features for m in linears)


def room_for_unpacked() -> int:
    """How many bytes unpacked weights may take on this machine by default."""
    return machine_bytes() // _MEMORY_PART


def unpack_within(model: nn.Module, budget_bytes: int | None) -> None:
    """Unpacks the model's 4-bit linears if they fit; None stands for the default share of memory."""
    if 0 < unpacked_bytes(model) <= (room_for_unpacked() if budget_bytes is None else budget_bytes):
        unpack(model)


@torch.inference_mode()
def unpack(model: nn.Module) -> None:
    """Replaces the model's 4-bit linears and its head, in place."""
    for path, module in tuple(model.named_modules()):
        if isinstance(module, Linear4bit):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, _unpacked(module))
    head = model.lm_head
    if isinstance(head, nn.Linear) and head.weight.dtype is torch.float32:
        model.lm_head = TiedHead(head)


def _unpacked(module: Linear4bit) -> UnpackedLinear:
    packed: Any = module.weight  # bitsandbytes' Params4bit, which adds to a tensor the state of its numbers
    weight = dequantize_4bit(packed.data, packed.quant_state).to(torch.float32)
    bias = None if module.bias is None else module.bias.data.to(torch.float32)
    return UnpackedLinear(weight.view(module.out_features, module.in_features), bias)
