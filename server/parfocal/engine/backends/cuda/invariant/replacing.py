"""Gives a model invariant linears, norms and head, if their kernels are right on this card."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit
from torch import nn
from torch.nn import functional

from parfocal.engine.backends.cuda.fallback import Report, Trial, choose
from parfocal.engine.backends.cuda.invariant.linears import InvariantLinear, InvariantLinear4bit
from parfocal.engine.backends.cuda.invariant.norm import InvariantNorm
from parfocal.engine.model import put, rms_norm_of

# bfloat16 keeps 8 bits; the two ways round at different places.
_TOLERANCE = 2.0**-6
_TRIAL_ROWS = 3

_Way = Callable[[nn.Module], nn.Module]


@torch.inference_mode()
def make_invariant(model: nn.Module, report: Report) -> bool:
    """Replaces what adds up a row's numbers, in place, unless it gives other numbers than torch here.

    Returns whether the model is invariant now. Does nothing to one whose 4-bit linears have been replaced.
    """
    if not any(isinstance(module, Linear4bit) for module in model.modules()):
        return is_invariant(model)
    tried = list(_one_of_each(model))
    trial = Trial[_Way](lambda way: torch.cat([_answer(way, module) for module in tried]), _TOLERANCE)
    if choose("deterministic", lambda: invariant_version, _plain_version, trial, report) is _plain_version:
        return False
    for path, module in tuple(model.named_modules()):
        version = invariant_version(module)
        if version is not module:
            put(model, path, version)
    return True


def is_invariant(model: nn.Module) -> bool:
    """Whether `make_invariant` has replaced the model's modules, the head with them."""
    return isinstance(model.lm_head, InvariantLinear)


def invariant_version(module: nn.Module) -> nn.Module:
    """Returns what computes the same in one order; the module itself if it adds nothing up."""
    if isinstance(module, Linear4bit):
        return InvariantLinear4bit(module)
    if type(module) is nn.Linear:
        return InvariantLinear(module)
    norm = rms_norm_of(module)
    return module if norm is None else InvariantNorm(norm)


def _plain_version(module: nn.Module) -> nn.Module:
    return _Dequantised(module) if isinstance(module, Linear4bit) else module


class _Dequantised(nn.Module):
    """A 4-bit linear by way of its whole weight."""

    def __init__(self, base: Linear4bit) -> None:
        super().__init__()
        self._base = base

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        base, packed = self._base, _packed(self._base)
        weight = dequantize_4bit(packed.data, packed.quant_state).to(x.dtype)
        bias = None if base.bias is None else base.bias.data.to(x.dtype)
        return functional.linear(x, weight.view(base.out_features, base.in_features), bias)


def _packed(linear: Linear4bit) -> Any:
    """Returns bitsandbytes' Params4bit, which adds to a tensor the state of its numbers."""
    return linear.weight


def _one_of_each(model: nn.Module) -> Iterator[nn.Module]:
    """Yields one module of each kind and size that has an invariant version."""
    seen = set()
    for module in model.modules():
        if not (type(module) is nn.Linear or isinstance(module, Linear4bit) or rms_norm_of(module)):
            continue
        kind = type(module), _inputs(module), getattr(module, "out_features", 0)
        if kind not in seen:
            seen.add(kind)
            yield module


def _answer(way: _Way, module: nn.Module) -> torch.Tensor:
    """Returns what one way makes of a few rows, relative to its largest number."""
    device = next(module.parameters()).device
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(_TRIAL_ROWS, _inputs(module), generator=draw).to(device, _dtype(module))
    answer: torch.Tensor = way(module)(x).float().flatten()
    return answer / answer.abs().max().clamp(min=1e-30)


def _inputs(module: nn.Module) -> int:
    inputs: int | None = getattr(module, "in_features", None)
    return next(module.parameters()).numel() if inputs is None else inputs


def _dtype(module: nn.Module) -> torch.dtype:
    if isinstance(module, Linear4bit):
        found: torch.dtype = module.compute_dtype or _packed(module).quant_state.dtype
        return found
    return next(module.parameters()).dtype
