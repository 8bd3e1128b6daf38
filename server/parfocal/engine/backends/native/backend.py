"""The backend of our own kernels for CPUs with AVX-512 VNNI; for float32 bases."""

from typing import Any

import torch
from torch import nn

from parfocal.engine.backends.native.decoder import NativeForward
from parfocal.engine.backends.native.feed_forward import NativeFeedForward, is_silu_gated
from parfocal.engine.backends.native.layers import parts_of
from parfocal.engine.backends.native.library import Library
from parfocal.engine.backends.native.linear import NativeHead, Numbers
from parfocal.engine.backends.native.modules import NativeDense, replaced
from parfocal.engine.backends.native.profile import FusedProfile, NativeProfile
from parfocal.engine.backends.native.rows import NativeLikeliest
from parfocal.engine.backends.native.step_work import NativeStepWork
from parfocal.engine.backends.native.tiling import TiledLinears
from parfocal.engine.backends.torch import adapted_linears, slab_bytes, unpack_within
from parfocal.engine.config import EngineConfig
from parfocal.engine.devices import Machine
from parfocal.engine.lora import SLAB_SLOTS, LoraStore
from parfocal.engine.memory import DeviceNeeds, Workspace
from parfocal.engine.model import (
    FLOAT_BYTES,
    Computing,
    Forward,
    ModelForward,
    ModuleProfile,
    ResidentBase,
    StepMemory,
    StepProfile,
    TokenByToken,
    activation_bytes,
    put,
    query_heads,
)
from parfocal.engine.observer import Observer
from parfocal.engine.stopwatch import Stopwatch


class NativeBackend:
    """Computes with the library's kernels, which have threads of their own.

    With exact `numbers` all arithmetic is float32, and weights that the kernels cannot pack are dequantised
    once, in up to `unpack_bytes`. Otherwise adapters are integers, and the KV cache is in half precision:
    half the bytes of a step's context, 11 bits of precision.
    """

    name = "native"

    def __init__(self, library: Library, numbers: Numbers, unpack_bytes: int | None = None) -> None:
        is_exact = numbers is Numbers.EXACT
        self.device = Machine()
        self.watch = Stopwatch()
        self.linears = TiledLinears(library, numbers)
        self.kv_dtype = torch.float32 if is_exact else torch.float16
        self.adapter_dtype = torch.float32 if is_exact else torch.int16
        self._library = library
        self._is_exact = is_exact
        self._unpack_bytes = unpack_bytes

    @torch.inference_mode()
    def prepare(self, model: nn.Module) -> None:
        """Gives a model the kernels' norms and feed-forward layers."""
        self._library.threads(torch.get_num_threads())
        for path, module in tuple(model.named_modules()):
            norm = replaced(self._library, module)
            if norm is not None:
                put(model, path, norm)
        for path, module in tuple(model.named_modules()):
            if is_silu_gated(module):
                put(model, path, NativeFeedForward(self._library, module))
        if self._is_exact:
            unpack_within(model, self._unpack_bytes)
        _take_head(self._library, model)

    def needs(self, base: ResidentBase, config: EngineConfig, room_bytes: int) -> DeviceNeeds:
        """Bounds on what its steps and slabs take.

        The kernels read keys and values where they lie and keep one row of scores for each thread.
        """
        del room_bytes
        scores = torch.get_num_threads() * query_heads(base) * FLOAT_BYTES
        return DeviceNeeds(slab_bytes(base, config), Workspace(activation_bytes(base, config), scores))

    def computing(
        self, base: ResidentBase, config: EngineConfig, memory: StepMemory, observer: Observer
    ) -> Computing:
        """One native call for all decoder layers, or transformers' code where they do not fit.

        The kernels give a token the same bits in every batch. Other code is called with one token at a time,
        where that must be so.
        """
        del observer
        cache = memory.cache
        store = LoraStore(base.shapes, base.adapter_dtype, base.device, min(SLAB_SLOTS, config.slots))
        parts = parts_of(base.model)
        forward: Forward
        if parts is None:
            forward = ModelForward(base, NativeStepWork(self._library, cache, store))
        else:
            forward = NativeForward(self._library, base, parts, cache, store)
        if config.deterministic and (parts is None or not _has_own_head(base.model)):
            forward = TokenByToken(forward, cache.block_tokens)
        return Computing(forward, store, NativeLikeliest(self._library))

    def take_over(self, cpu_threads: int) -> None:
        """Leaves torch one thread: more would only get in the way of the kernels' own."""
        del cpu_threads
        torch.set_num_threads(1)

    def profile(self, base: ResidentBase) -> StepProfile:
        """Hooks on the model, together with the kernels' own clock where one call does all layers."""
        hooks = ModuleProfile(base.model, adapted_linears, self.watch)
        if parts_of(base.model) is None:
            return hooks
        return FusedProfile(hooks, NativeProfile(self._library))


def _take_head(library: Library, model: nn.Module) -> None:
    """Gives a model whose head is a plain float32 linear the kernels' own."""
    head: Any = model.lm_head
    if type(head) is nn.Linear and head.weight.dtype is torch.float32:
        model.lm_head = NativeDense(library, head.weight.data, None if head.bias is None else head.bias.data)


def _has_own_head(model: nn.Module) -> bool:
    return isinstance(model.lm_head, NativeHead | NativeDense)
