"""Chooses how a float32 base is computed on this CPU: natively, in bfloat16, unpacked, or as it is."""

from dataclasses import dataclass

import torch
from bitsandbytes.nn.modules import Linear4bit
from torch import nn

from . import bfloat16_cpu, unpacked_cpu
from .config import EngineConfig
from .native.feed_forward import NativeFeedForward, is_silu_gated
from .native.library import Library, load
from .native.linear import NativeHead, NativeLinear, can_pack, pack
from .native.norm import replaced
from .native.step_work import HEAD_SIZES


@dataclass(frozen=True, slots=True)
class Choice:
    """`native` computes norms, attention and LoRA if it is not None; `added_bytes` may be negative."""

    native: Library | None
    added_bytes: int


@torch.inference_mode()
def speed_up(model: nn.Module, config: EngineConfig, dtype: torch.dtype, head_dim: int) -> Choice:
    """Gives a float32 model on a CPU the fastest linears, head and norms, in place; leaves others alone.

    `config.dtype` float32 keeps all arithmetic in float32.
    """
    if dtype is not torch.float32 or next(model.parameters()).device.type != "cpu":
        return Choice(None, 0)
    exact = config.dtype == "float32"
    before = _size(model)
    native = load() if config.kernels == "auto" and head_dim in HEAD_SIZES else None
    if native is not None:
        native.threads(torch.get_num_threads())
        _replace_norms(model, native)
        _replace_feed_forwards(model, native)
        if not exact:
            _replace_linears(model, native)
    elif not exact and bfloat16_cpu.is_fast_here(model):
        bfloat16_cpu.speed_up(model)
        return Choice(None, 0)
    if exact or native is None:
        _unpack(model, config.unpack_bytes)
    return Choice(native, _size(model) - before)


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


def _size(model: nn.Module) -> int:
    """Returns the bytes of the model's weights, however they are held."""
    seen = {id(t): t.nbytes for t in (*model.parameters(), *model.buffers())}
    held = (NativeLinear, unpacked_cpu.UnpackedLinear)
    return sum(seen.values()) + sum(m.size_bytes for m in model.modules() if isinstance(m, held))
