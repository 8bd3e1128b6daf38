"""A step's LoRA work and attention by the native kernels, which read weights and KV cache where they lie."""

from collections.abc import Mapping, Sequence
from ctypes import addressof, byref
from dataclasses import dataclass

import torch
from torch import nn

from parfocal.engine.backends.native.library import Library
from parfocal.engine.backends.native.structs import AttentionStruct, PairStruct, SlabStruct, array_of
from parfocal.engine.lora import AdapterPair, LoraStore, LoraWork, Slab, merge
from parfocal.engine.model.attention import AttentionWork, NewTokens, Score
from parfocal.engine.model.kv_cache import KvCache
from parfocal.engine.model.step_work import written_places
from parfocal.engine.scheduling import LaidRow, Segment, segments

# `AdapterNumbers` in lora.h.
ADAPTER_NUMBERS = {torch.float32: 0, torch.bfloat16: 1, torch.int16: 2, torch.int8: 3}
# Integers of activations have a scale for each block of so many.
_BLOCK = 64
# The kernel takes so many rows of one adapter at once.
_ROWS = 8


class NativeStepWork:
    """Prepares steps for the native kernels. Activations are float32 on the CPU."""

    def __init__(self, library: Library, cache: KvCache, store: LoraStore) -> None:
        self._library = library
        self._cache = cache
        self._store = store

    def lora(self, laid: list[LaidRow]) -> LoraWork | None:
        """Returns the rows' LoRA work; None if no row uses an adapter."""
        found = segments(laid)
        return NativeLora(self._library, found, self._store.slabs) if found else None

    def attention(self, laid: list[LaidRow]) -> AttentionWork:
        """Returns the rows' attention."""
        return NativeAttention(self._library, self._cache, contexts_of(laid, self._cache))


@dataclass(frozen=True, slots=True)
class Contexts:
    """What each token of a step attends to.

    `written` `[tokens]` is where its key and value go, `rows` `[tokens]` whose table it uses, `lengths`
    `[tokens]` how much of its context it sees; `tables` `[rows, most blocks]` are the rows' blocks.
    """

    written: torch.Tensor
    tables: torch.Tensor
    rows: torch.Tensor
    lengths: torch.Tensor


def contexts_of(laid: Sequence[LaidRow], cache: KvCache) -> Contexts:
    """Returns the contexts of a step's tokens, in the flat batch's order."""
    most = max(len(item.row.blocks) for item in laid)
    tables = [(*item.row.blocks, *[0] * (most - len(item.row.blocks))) for item in laid]
    return Contexts(
        written=torch.tensor(written_places(cache, laid)),
        tables=torch.tensor(tables),
        rows=torch.tensor([number for number, item in enumerate(laid) for _ in range(item.tokens)]),
        lengths=torch.tensor([at + 1 for i in laid for at in range(i.row.start, i.length)]),
    )


def adapter_rows(found: Sequence[Segment], slabs: Mapping[int, int]) -> torch.Tensor:
    """Returns `[works, 4]`: slab by `slabs`, slot, first row, number of rows (at most eight)."""
    return torch.tensor(
        [
            (slabs[s.place.slab], s.place.index, start, min(_ROWS, s.end - start))
            for s in merge(found)
            for start in range(s.start, s.end, _ROWS)
        ],
        dtype=torch.int64,
    )


def pair_struct(pair: AdapterPair | None) -> PairStruct:
    """Returns where a module's weights lie; null where the slab has none."""
    if pair is None:
        return PairStruct()
    scales = (None if part is None else part.data_ptr() for part in (pair.a_scale, pair.b_scale))
    return PairStruct(pair.a.data_ptr(), pair.b.data_ptr(), *scales)


class NativeLora:
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

    def attend(self, layer: int, new: NewTokens, score: Score) -> torch.Tensor:
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
            window=score.window or 0,
            scale=score.scaling,
            softcap=score.softcap or 0.0,
            half=keys.dtype is torch.float16,
        )
        new_tokens = (key.data_ptr(), value.data_ptr(), context.written.data_ptr())
        unknown = self._library.attend(addressof(struct), *new_tokens, key.stride(2), key.stride(1))
        assert not unknown, f"there is no kernel for heads of {dim}"
        return out


def _rows_whole(part: torch.Tensor) -> torch.Tensor:
    return part if part.stride(3) == 1 else part.contiguous()
