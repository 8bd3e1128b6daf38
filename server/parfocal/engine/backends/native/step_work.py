"""A step's LoRA work and attention by the native kernels, which read weights and KV cache where they lie."""

from collections.abc import Mapping, Sequence
from ctypes import addressof, byref

import torch
from torch import nn

from parfocal.engine.backends.native.library import Library
from parfocal.engine.backends.native.rows import (
    ADAPTER_NUMBERS,
    Contexts,
    adapter_rows,
    contexts_of,
    pair_struct,
)
from parfocal.engine.backends.native.structs import AttentionStruct, PairStruct, SlabStruct, array_of
from parfocal.engine.lora import LoraStore, LoraWork, Slab
from parfocal.engine.model import AttentionWork, KvCache, NewTokens, Scoring
from parfocal.engine.scheduling import LaidRow, Segment, segments

# Integer activations have one scale per block of this many.
_BLOCK = 64


class NativeStepWork:
    """Prepares steps for the native kernels. Activations are float32 on the CPU."""

    def __init__(self, library: Library, cache: KvCache, store: LoraStore) -> None:
        self._library = library
        self._cache = cache
        self._store = store

    def lora(self, laid: list[LaidRow]) -> LoraWork | None:
        """The rows' LoRA work; None if no row uses an adapter."""
        found = segments(laid)
        return NativeLora(self._library, found, self._store.slabs) if found else None

    def attention(self, laid: list[LaidRow]) -> AttentionWork:
        """The rows' attention."""
        return NativeAttention(self._library, self._cache, contexts_of(laid, self._cache))


class NativeLora(LoraWork):
    """One step's LoRA work: for each slab, its rows in works of one adapter and at most eight rows."""

    def __init__(self, library: Library, found: Sequence[Segment], slabs: Mapping[int, Slab]) -> None:
        self._kernel = library.lora
        numbers = dict.fromkeys(segment.place.slab for segment in found)
        self._slabs = [
            (slabs[number], adapter_rows([s for s in found if s.place.slab == number], {number: 0}))
            for number in numbers
        ]

    def add_to(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        """Adds the adapters' part to `y` `[…, tokens, out]` in place, from `x` `[…, tokens, in]`."""
        assert y.is_contiguous()
        x = nn.functional.pad(x, (0, -x.shape[-1] % _BLOCK)).contiguous()
        for slab, works in self._slabs:
            pair = slab.weights.get(path)
            if pair is None:
                continue
            pairs = array_of(PairStruct, [pair_struct(pair)])
            struct = SlabStruct(pairs, slab.rank, ADAPTER_NUMBERS[pair.a.dtype])
            sizes = (works.shape[0], x.numel() // x.shape[-1], pair.inputs, x.shape[-1], y.shape[-1])
            self._kernel(x.data_ptr(), y.data_ptr(), byref(struct), works.data_ptr(), *sizes)


class NativeAttention:
    """One step's attention, layer by layer."""

    def __init__(self, library: Library, cache: KvCache, contexts: Contexts) -> None:
        self._library = library
        self._cache = cache
        self._contexts = contexts

    def attend(self, layer: int, new: NewTokens, scoring: Scoring) -> torch.Tensor:
        """Stores the new keys and values; returns each token's answer `[1, tokens, heads, head_dim]`."""
        query, key, value = (_rows_whole(part) for part in new)
        if key.stride() != value.stride():
            key, value = key.contiguous(), value.contiguous()
        _, heads, tokens, dim = query.shape
        keys, context = self._cache.keys[layer], self._contexts
        out = torch.empty(1, tokens, heads, dim)
        struct = AttentionStruct(
            query=query.data_ptr(),
            keys=keys.data_ptr(),
            values=self._cache.values[layer].data_ptr(),
            tables=context.tables.data_ptr(),
            token_rows=context.rows.data_ptr(),
            lengths=context.lengths.data_ptr(),
            out=out.data_ptr(),
            tokens=tokens,
            heads=heads,
            kv_heads=key.shape[1],
            dim=dim,
            block_tokens=self._cache.block_tokens,
            most_blocks=context.tables.shape[1],
            query_token=query.stride(2),
            query_head=query.stride(1),
            window=scoring.window or 0,
            scale=scoring.scaling,
            softcap=scoring.softcap or 0.0,
            half=keys.dtype is torch.float16,
        )
        new_tokens = (key.data_ptr(), value.data_ptr(), context.written.data_ptr())
        unknown = self._library.attend(addressof(struct), *new_tokens, key.stride(2), key.stride(1))
        assert not unknown, f"there is no kernel for heads of {dim}"
        return out


def _rows_whole(part: torch.Tensor) -> torch.Tensor:
    return part if part.stride(3) == 1 else part.contiguous()
