"""Keeps an adapter's inputs as the base computes them, where PEFT keeps a copy in float32 for each module.

An adapter's weights are float32 and the base often computes in bfloat16, so PEFT (0.21, `Linear4bit.forward`)
turns each input into float32, and autograd keeps that for the way back: twice the bytes, and once for each of
query, key, value, gate and up, which share their inputs. Here the input itself is kept, once for all of them,
and turned into float32 again when its gradient is taken. The numbers are the same.
"""

from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn.functional import linear


class _Widened(torch.autograd.Function):
    """A linear in the type of its weights, which keeps its input in the input's own type."""

    @staticmethod
    def forward(ctx: Any, given: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(given, weight)
        return linear(given.to(weight.dtype), weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        given, weight = ctx.saved_tensors
        rows = gradients[0].flatten(0, -2)
        inward = (rows @ weight).to(given.dtype).view_as(given)
        return inward, rows.t() @ given.flatten(0, -2).to(weight.dtype)


class _ThriftyLinear(nn.Linear):
    """A linear of an adapter whose input may be narrower than its weights."""

    def forward(self, given: Tensor) -> Tensor:
        if given.dtype == self.weight.dtype:
            return super().forward(given)
        out: Tensor = _Widened.apply(given, self.weight)  # type: ignore[no-untyped-call]  # torch's own stub
        return out


def keep_inputs_narrow(model: PeftModel) -> None:
    """Makes every adapter of the model keep its inputs as they come, where nothing is dropped from them."""
    for layer in model.modules():
        if not isinstance(layer, LoraLayer):
            continue
        for name, first in layer.lora_A.items():
            # Dropout would be drawn in the input's type, and its result kept besides.
            if isinstance(first, nn.Linear) and isinstance(layer.lora_dropout[name], nn.Identity):
                first.__class__ = _ThriftyLinear
                layer.cast_input_dtype_enabled = False
