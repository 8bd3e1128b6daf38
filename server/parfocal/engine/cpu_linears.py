"""Chooses how a float32 base is computed on this CPU: natively, in bfloat16, unpacked, or as it is."""

import torch
from bitsandbytes.nn.modules import Linear4bit
from torch import nn

from . import bfloat16_cpu, unpacked_cpu
from .config import EngineConfig
from .native.feed_forward import NativeFeedForward, is_silu_gated
from .native.library import Library, load
from .native.linear import NativeHead, can_pack, pack
from .native.norm import replaced
from .native.step_work import HEAD_SIZES


@torch.inference_mode()
def speed_up(model: nn.Module, config: EngineConfig, dtype: torch.dtype, head_dim: int) -> Library | None:
    """Gives a float32 model on a CPU the fastest linears, head and norms, in place; leaves others alone.

    Returns the kernels that also compute attention and LoRA, if they run here. `config.dtype` float32 keeps
    all arithmetic in float32.
    """
    if dtype is not torch.float32 or next(model.parameters()).device.type != "cpu":
        return None
    exact = config.dtype == "float32"
    native = load() if config.kernels == "auto" and head_dim in HEAD_SIZES else None
    if native is not None:
        native.threads(torch.get_num_threads())
        _replace_norms(model, native)
        _replace_feed_forwards(model, native)
        if not exact:
            _replace_linears(model, native)
    elif not exact and bfloat16_cpu.is_fast_here(model):
        bfloat16_cpu.speed_up(model)
        return None
    if exact or native is None:
        _unpack(model, config.unpack_bytes)
    return native


def _replace_norms(model: nn.Module, native: Library) -> None:
    for path, module in tuple(model.named_modules()):
        norm = replaced(native, module)
        if norm is not None:
            _put(model, path, norm)


def _replace_feed_forwards(model: nn.Module, native: Library) -> None:
    for path, module in tuple(model.named_modules()):
        if is_silu_gated(module):
            _put(model, path, NativeFeedForward(native, module))


def _replace_linears(model: nn.Module, native: Library) -> None:
    for path, module in tuple(model.named_modules()):
        if isinstance(module, Linear4bit) and can_pack(module):
            _put(model, path, pack(native, module))
    head = model.lm_head
    if isinstance(head, nn.Linear) and not isinstance(head, Linear4bit) and head.in_features % 64 == 0:
        model.lm_head = NativeHead(native, head)


def _unpack(model: nn.Module, budget: int | None) -> None:
    needed = unpacked_cpu.unpacked_bytes(model)
    if 0 < needed <= (unpacked_cpu.room_for_unpacked() if budget is None else budget):
        unpacked_cpu.unpack(model)


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
