"""Softmax whose gradient has the same bits with any number of CPU threads.

torch 2.13 compiles the gradient over the last dimension twice, for one thread and for an OpenMP region, and
the two differ by a rounding where the dimension is no multiple of the vector width. No other operation of a
training step on a 4-bit base gives other bits on one thread than on several.
"""

import sys
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, nll_loss, softmax
from torch.overrides import TorchFunctionMode
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

EAGER = "parfocal_eager"
_LANES = 16  # float32 numbers in the widest vector


class _Steady(torch.autograd.Function):
    """(Log-)softmax over the last dimension, in float32, whose gradient always takes an OpenMP region."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, log: bool) -> Tensor:
        ctx.log, ctx.dtype = log, scores.dtype
        wide = scores.float()
        result = wide.log_softmax(-1) if log else wide.softmax(-1)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (result,) = ctx.saved_tensors
        derive = torch._log_softmax_backward_data if ctx.log else torch._softmax_backward_data
        threads = torch.get_num_threads()
        torch.set_num_threads(max(2, threads))
        try:
            return derive(gradients[0].contiguous(), result, -1, torch.float32).to(ctx.dtype), None
        finally:
            torch.set_num_threads(threads)


class _SteadySoftmax(TorchFunctionMode):
    """Replaces the softmax of library code, whose gradient depends on the number of threads."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        settings = kwargs or {}
        if function is softmax and _unsteady(args[0]) and _plain(args, settings):
            return _Steady.apply(args[0], False)  # type: ignore[no-untyped-call]  # torch's own stub
        return function(*args, **settings)


def register_attention() -> str:
    """Registers the model's own eager attention with a steady softmax; returns its name."""
    AttentionInterface.register(EAGER, _attention)
    AttentionMaskInterface.register(EAGER, eager_mask)
    return EAGER


def steady_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of each target, `[rows]` in float32, for logits `[rows, vocabulary]`."""
    if _unsteady(logits):
        logs: Tensor = _Steady.apply(logits, True)  # type: ignore[no-untyped-call]  # torch's own stub
        return nll_loss(logs, targets, reduction="none")
    return cross_entropy(logits.float(), targets, reduction="none")


def _attention(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
    eager = sys.modules[type(module).__module__].eager_attention_forward  # every decoder's file has one
    with _SteadySoftmax():
        return eager(module, *args, **kwargs)


def _unsteady(scores: Tensor) -> bool:
    needed = torch.is_grad_enabled() and scores.requires_grad
    return needed and scores.device.type == "cpu" and scores.shape[-1] % _LANES != 0


def _plain(args: Any, settings: Any) -> bool:
    dimension = settings.get("dim", args[1] if len(args) > 1 else None)
    return dimension == -1 and settings.get("dtype") is torch.float32
