"""Chooses how a float32 base is computed on this CPU: natively, in bfloat16, unpacked, or as it is."""

import torch
from bitsandbytes.nn.modules import Linear4bit
from torch import nn

from . import bfloat16_cpu, unpacked_cpu
from .config import EngineConfig
from .kv_cache import KvShape
from .native.feed_forward import NativeFeedForward, is_silu_gated
from .native.library import Library, load
from .native.linear import NativeHead, can_pack, pack
from .native.norm import replaced
from .native.step_work import HEAD_SIZES


def kernels_for(config: EngineConfig, shape: KvShape, device: torch.device) -> Library | None:
    """Returns the native kernels if they can compute such a base on the device and `config` lets them."""
    fits = shape.dtype is torch.float32 and device.type == "cpu" and shape.head_dim in HEAD_SIZES
    return load() if fits and config.kernels == "auto" else None


@torch.inference_mode()
def tile(model: nn.Module, native: Library) -> None:
    """Gives a model the native linears and head, in place. They are not exact."""
    for path, module in tuple(model.named_modules()):
        if isinstance(module, Linear4bit) and can_pack(module):
            put(model, path, pack(native, module))
    head = model.lm_head
    if isinstance(head, nn.Linear) and not isinstance(head, Linear4bit) and head.in_features % 64 == 0:
        model.lm_head = NativeHead(native, head)


@torch.inference_mode()
def speed_up(model: nn.Module, config: EngineConfig, dtype: torch.dtype, native: Library | None) -> None:
    """Gives a float32 model on a CPU the fastest modules that it has not yet, in place; leaves others alone.

    With `native` kernels its linears are tiled already, unless `config.dtype` float32 keeps all arithmetic
    in float32.
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
