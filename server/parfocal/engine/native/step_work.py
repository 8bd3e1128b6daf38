"""A step's LoRA work and attention by the native kernels, which read weights and KV cache where they lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..attention import AttentionWork, NewTokens, Score
from ..kv_cache import KvCache
from ..laid_plan import LaidRow, segments
from ..lora_batch import LoraWork, Segment, merge
from ..lora_store import AdapterPair, LoraStore, Slab
from ..step_work import written_places
from .library import Library

HEAD_SIZES = (16, 32, 64, 80, 96, 128, 256)
# The kernel takes so many rows of one adapter at once.
_ROWS = 8


class NativeStepWork:
    """Prepares steps for the native kernels. Everything is float32 on the CPU but the adapters' weights."""

    def __init__(self, library: Library, cache: KvCache, store: LoraStore) -> None:
        self._library = library
        self._cache = cache
        self._store = store

    def lora(self, laid: list[LaidRow]) -> LoraWork | None:
        """Returns the rows' LoRA work; None if no row uses an adapter."""
        found = segments(laid)
        return NativeLora(self._library, found, self._store) if found else None

    def attention(self, laid: list[LaidRow]) -> AttentionWork:
        """Returns the rows' attention."""
        most = max(len(item.row.blocks) for item in laid)
        tables = [(*item.row.blocks, *[0] * (most - len(item.row.blocks))) for item in laid]
        return NativeAttention(
            library=self._library,
            cache=self._cache,
            written=torch.tensor(written_places(self._cache, laid)),
            tables=torch.tensor(tables),
            rows=torch.tensor([number for number, item in enumerate(laid) for _ in range(item.tokens)]),
            lengths=torch.tensor([at + 1 for i in laid for at in range(i.row.start, i.length)]),
        )


class NativeLora:
    """One step's LoRA work: for each slab, its rows in works of one adapter and at most eight rows."""

    def __init__(self, library: Library, found: Sequence[Segment], store: LoraStore) -> None:
        self._kernel = library.lora
        merged = merge(found)
        slabs = dict.fromkeys(segment.place.slab for segment in merged)
        self._slabs = [
            (store.slabs[slab], _works([s for s in merged if s.place.slab == slab])) for slab in slabs
        ]

    def add_to(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        """Adds the adapters' part to `y` `[…, tokens, out]` in place, from `x` `[…, tokens, in]`."""
        assert y.is_contiguous()
        x = x.contiguous()
        for slab, works in self._slabs:
            pair = slab.weights.get(path)
            if pair is not None:
                self._add(y, x, slab, pair, works)

    def _add(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        slab: Slab,
        pair: AdapterPair,
        works: torch.Tensor,
    ) -> None:
        self._kernel(
            x.data_ptr(),
            y.data_ptr(),
            pair.a.data_ptr(),
            pair.b.data_ptr(),
            None if pair.a_scale is None else pair.a_scale.data_ptr(),
            None if pair.b_scale is None else pair.b_scale.data_ptr(),
            pair.a.itemsize,
            works.data_ptr(),
            works.shape[0],
            x.shape[-1],
            y.shape[-1],
            slab.rank,
        )


def _works(found: Sequence[Segment]) -> torch.Tensor:
    """Returns `[works, 3]`: slot, first row, number of rows."""
    return torch.tensor(
        [
            (s.place.index, start, min(_ROWS, s.end - start))
            for s in found
            for start in range(s.start, s.end, _ROWS)
        ]
    )


@dataclass(frozen=True, slots=True)
class NativeAttention:
    """One step's attention: `written` `[tokens]` is where keys and values go, `tables` `[rows, most blocks]`.

    `rows` `[tokens]` says whose table a token uses, `lengths` `[tokens]` how much of its context it sees.
    """

    library: Library
    cache: KvCache
    written: torch.Tensor
    tables: torch.Tensor
    rows: torch.Tensor
    lengths: torch.Tensor

    def attend(self, layer: int, new: NewTokens, score: Score) -> torch.Tensor:
        """Stores the new keys and values; returns each token's answer `[1, tokens, heads, head_dim]`."""
        keys, values = self.cache.keys[layer], self.cache.values[layer]
        query, key, value = (_rows_whole(part) for part in new)
        if key.stride() != value.stride():
            key, value = key.contiguous(), value.contiguous()
        _, heads, tokens, dim = query.shape
        kv_heads = key.shape[1]
        self.library.store(
            key.data_ptr(),
            value.data_ptr(),
            keys.data_ptr(),
            values.data_ptr(),
            self.written.data_ptr(),
            tokens,
            kv_heads,
            dim,
            key.stride(2),
            key.stride(1),
        )
        out = torch.empty(1, tokens, heads, dim)
        unknown = self.library.attend(
            query.data_ptr(),
            keys.data_ptr(),
            values.data_ptr(),
            self.tables.data_ptr(),
            self.rows.data_ptr(),
            self.lengths.data_ptr(),
            out.data_ptr(),
            tokens,
            heads,
            kv_heads,
            dim,
            self.cache.block_tokens,
            self.tables.shape[1],
            query.stride(2),
            query.stride(1),
            score.window or 0,
            score.scaling,
            score.softcap or 0.0,
        )
        assert not unknown, f"there is no kernel for heads of {dim}"
        return out


def _rows_whole(part: torch.Tensor) -> torch.Tensor:
    return part if part.stride(3) == 1 else part.contiguous()
