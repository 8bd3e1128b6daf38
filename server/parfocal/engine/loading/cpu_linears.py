"""Chooses how a float32 base is computed on this CPU: natively, in bfloat16, unpacked, or as it is."""

from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit
from torch import nn

from parfocal.engine.backends.native.feed_forward import NativeFeedForward, is_silu_gated
from parfocal.engine.backends.native.library import Library, load
from parfocal.engine.backends.native.linear import NativeHead, Numbers, can_pack, pack, pack_dense
from parfocal.engine.backends.native.norm import replaced
from parfocal.engine.backends.torch import bfloat16_cpu, unpacked_cpu
from parfocal.engine.config import EngineConfig


def kernels_for(
    config: EngineConfig, dtype: torch.dtype, head_dim: int, device: torch.device
) -> Library | None:
    """Returns the native kernels if they can compute such a base on the device and `config` lets them."""
    fits = dtype is torch.float32 and device.type == "cpu" and config.kernels == "auto"
    native = load() if fits else None
    return native if native is not None and native.can_attend(head_dim) else None


@torch.inference_mode()
def tile(model: nn.Module, native: Library, numbers: Numbers) -> None:
    """Gives a model the native linears, in place; also the head, unless all arithmetic is to be exact."""
    for path, module in tuple(model.named_modules()):
        if isinstance(module, Linear4bit) and can_pack(module):
            put(model, path, pack(native, module, numbers))
    head: Any = model.lm_head
    is_plain = isinstance(head, nn.Linear) and not isinstance(head, Linear4bit)
    if is_plain and numbers is not Numbers.EXACT and head.in_features % 64 == 0:
        dense = Numbers.DENSE_NARROW if numbers is Numbers.NARROW else Numbers.DENSE_WIDE
        bias = None if head.bias is None else head.bias.data
        model.lm_head = NativeHead(native, head, pack_dense(native, head.weight.data, bias, dense))


def numbers_of(config: EngineConfig) -> Numbers:
    """Returns in what 4-bit weights are multiplied natively."""
    if config.dtype == "float32":
        return Numbers.EXACT
    return Numbers.NARROW if config.activation_bits == 8 else Numbers.WIDE


@torch.inference_mode()
def speed_up(model: nn.Module, config: EngineConfig, dtype: torch.dtype, native: Library | None) -> None:
    """Gives a float32 model on a CPU the fastest modules that it has not yet, in place; leaves others alone.

    With `native` kernels its linears are tiled already, as far as they can be.
    """
    if dtype is not torch.float32 or next(model.parameters()).device.type != "cpu":
        return
    exact = config.dtype == "float32"
    if native is not None:
        native.threads(torch.get_num_threads())
        _replace_norms(model, native)
        _replace_feed_forwards(model, native)
    elif not exact and bfloat16_cpu.is_fast_here(model):
        bfloat16_cpu.speed_up(model)
        return
    if exact or native is None:
        _unpack(model, config.unpack_bytes)


def put(model: nn.Module, path: str, module: nn.Module) -> None:
    """Puts a module into the model's place `path`."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def _replace_norms(model: nn.Module, native: Library) -> None:
    for path, module in tuple(model.named_modules()):
        norm = replaced(native, module)
        if norm is not None:
            put(model, path, norm)


def _replace_feed_forwards(model: nn.Module, native: Library) -> None:
    for path, module in tuple(model.named_modules()):
        if is_silu_gated(module):
            put(model, path, NativeFeedForward(native, module))


def _unpack(model: nn.Module, budget: int | None) -> None:
    needed = unpacked_cpu.unpacked_bytes(model)
    if 0 < needed <= (unpacked_cpu.room_for_unpacked() if budget is None else budget):
        unpacked_cpu.unpack(model)
