"""Attention on CUDA devices by our own kernels, which read keys and values where they lie in the cache.

A step whose rows compute one token each can be captured in a CUDA graph: see `CudaAttention.step_on`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import triton

from parfocal.engine.backends.cuda.attention.kernels import (
    combine_kernel,
    decode_kernel,
    prefill_kernel,
    store_kernel,
)
from parfocal.engine.backends.cuda.attention.tables import (
    DecodeTable,
    PrefillTiles,
    prefill_tiles,
    token_table,
)
from parfocal.engine.backends.cuda.products import product_type
from parfocal.engine.backends.cuda.sending import Send, each_by_itself
from parfocal.engine.model import KvCache, NewTokens, Scoring
from parfocal.engine.scheduling import LaidRow, written_places

LOG2E = math.log2(math.e)
# More positions than any context has.
NO_WINDOW = 2**31 - 1
# How a context is cut into shares, whatever else is in the batch.
MOST_SHARES = 32
# Keeping and combining shares of 128 positions is a sixteenth of reading them where four query heads share a
# key head, and less elsewhere.
LEAST_SHARE = 128
# Rows that are attended by one launch.
MOST_ROWS = 128


@dataclass(frozen=True, slots=True)
class CudaAttentionStep:
    """One step's attention.

    `written` `[tokens]` is where each token's key and value go, -1 for padding. `programs` take the shares of
    a row's context in turn, for each key head; how many they are changes no bit of the answers.
    """

    cache: KvCache
    written: torch.Tensor
    decode: DecodeTable | None
    prefill: PrefillTiles | None
    programs: int

    def attend(self, layer: int, new: NewTokens, scoring: Scoring) -> torch.Tensor:
        """Stores the new keys and values; returns each token's answer `[1, tokens, heads, head_dim]`."""
        store_kv(self.cache, layer, self.written, new)
        return self.attend_stored(layer, _whole(new.query).transpose(0, 1), scoring)[None]

    def attend_stored(self, layer: int, query: torch.Tensor, scoring: Scoring) -> torch.Tensor:
        """Each token's answer `[tokens, heads, head_dim]` to a query of that shape.

        The new keys and values are in the cache; a head's numbers lie together.
        """
        out = query.new_empty(query.shape)
        work = _Work(query.transpose(0, 1), self.cache, layer, scoring)
        if self.decode is not None:
            _attend_rows(work, self.decode, self.programs, out)
        if self.prefill is not None:
            _attend_tiles(work, self.prefill, out)
        return out


@dataclass(frozen=True, slots=True)
class CudaAttention:
    """Prepares the attention of steps over `cache` for layers of `heads` query heads.

    `processors` is how many multiprocessors the device has. With `singly`, prompts are attended token by
    token, as answers are, so that how a prompt was cut changes no bit.
    """

    cache: KvCache
    heads: int
    processors: int
    singly: bool = False

    def step(self, laid: Sequence[LaidRow], send: Send | None = None) -> CudaAttentionStep:
        """Returns the attention of `laid`, for this step only."""
        size = self.cache.block_tokens
        send = send or each_by_itself(self.cache.keys[0].device)
        single = [item for item in laid if self.singly or item.tokens == 1]
        chunks = [item for item in laid if not self.singly and item.tokens > 1]
        decode = token_table(single, size).sent(send) if single else None
        tiles = prefill_tiles(chunks, size, self.tile_tokens).sent(send) if chunks else None
        written = send(torch.tensor(written_places(laid, size), dtype=torch.int32))
        programs = self._programs(decode) if decode else 1
        return CudaAttentionStep(self.cache, written, decode, tiles, programs)

    def step_on(self, table: DecodeTable, written: torch.Tensor) -> CudaAttentionStep:
        """Returns a decode step on tensors that the caller refills before each replay of a graph.

        Launch parameters depend only on the tensors' sizes; the kernels read everything else from them.
        Attend once before the capture: a kernel's first launch compiles it.
        """
        return CudaAttentionStep(self.cache, written, table, None, self._programs(table))

    @property
    def tile_tokens(self) -> int:
        """How many neighbouring tokens one program of a prefill takes: 32 KiB of queries, or 128."""
        keys = self.cache.keys[0]
        queries = min(128, 2**15 // (_room(keys.shape[3]) * keys.element_size()))
        return max(1, queries * keys.shape[2] // self.heads)

    def _programs(self, table: DecodeTable) -> int:
        pairs = len(table.lengths) * self.cache.keys[0].shape[2]
        return program_count(pairs, _room_for_shares(table, self.cache.block_tokens), self.processors)


def program_count(pairs: int, most_shares: int, processors: int) -> int:
    """Returns how many programs take the shares of each of so many pairs of a row and a key head.

    Enough to give each processor two programs, as long as each has a share.
    """
    return max(1, min(-(-2 * processors // pairs), most_shares))


def processors_of(device: torch.device) -> int:
    """Returns how many multiprocessors a CUDA device has."""
    count: int = torch.cuda.get_device_properties(device).multi_processor_count
    return count


def store_kv(cache: KvCache, layer: int, places: torch.Tensor, new: NewTokens) -> None:
    """Stores the tokens' keys and values at `places` `[tokens]`; a negative place takes none."""
    key, value = _whole(new.key), _whole(new.value)
    kv_heads, tokens, dim = key.shape
    store_kernel[(tokens,)](
        cache.keys[layer],
        cache.values[layer],
        places,
        key,
        value,
        key.stride(1),
        key.stride(0),
        value.stride(1),
        value.stride(0),
        PLACE=kv_heads * dim,
        DIM=dim,
        ROOM=triton.next_power_of_2(kv_heads * dim),
    )


class _Work(NamedTuple):
    """What a layer's kernels share. `query` is `[heads, tokens, head_dim]`."""

    query: torch.Tensor
    cache: KvCache
    layer: int
    scoring: Scoring

    @property
    def tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.query, self.cache.keys[self.layer], self.cache.values[self.layer]

    @property
    def window(self) -> int:
        return self.scoring.window or NO_WINDOW

    @property
    def numbers(self) -> tuple[int, int, int, float, float]:
        """The query's strides and how to score."""
        scaling, _, softcap = self.scoring
        factors = (1.0, scaling * LOG2E) if softcap is None else (scaling / softcap, softcap * LOG2E)
        return self.query.stride(1), self.query.stride(0), self.window, *factors

    @property
    def group(self) -> int:
        return self.query.shape[0] // self.cache.keys[self.layer].shape[2]

    @property
    def tile(self) -> int:
        """How many keys a program holds at once: 16 KiB of them."""
        keys = self.cache.keys[self.layer]
        return min(64, max(16, 2**14 // (_room(keys.shape[3]) * keys.element_size())))

    def sizes(self, queries: int) -> dict[str, object]:
        """Returns the kernels' compile-time constants for programs of `queries` queries."""
        kv_heads, dim = self.cache.keys[self.layer].shape[2:]
        return {
            "CAPPED": self.scoring.softcap is not None,
            "DOT": product_type(self.query),
            "BLOCK_TOKENS": self.cache.block_tokens,
            "PLACE": kv_heads * dim,
            "GROUP": self.group,
            "DIM": dim,
            "ROOM": _room(queries),
            "DIM_ROOM": _room(dim),
            "TILE": self.tile,
        }


def _attend_rows(work: _Work, table: DecodeTable, programs: int, out: torch.Tensor) -> None:
    """Attends some rows after the other, so that the shares of many prompts' tokens take little memory."""
    heads, _, dim = work.query.shape
    rows, room = len(table.lengths), _room_for_shares(table, work.cache.block_tokens)
    some = min(rows, MOST_ROWS)
    answers = out.new_empty(some, heads, room, dim, dtype=torch.float32)
    logs = out.new_empty(some, heads, room, dtype=torch.float32)
    cut = {"LEAST": LEAST_SHARE, "MOST": MOST_SHARES}
    for first in range(0, rows, some):
        part = slice(first, first + some)
        tokens, lengths = table.tokens[part], table.lengths[part]
        decode_kernel[len(tokens), heads // work.group, programs](
            answers,
            logs,
            *work.tensors,
            tokens,
            lengths,
            table.lines[part],
            table.blocks,
            table.blocks.stride(0),
            *work.numbers,
            room,
            **work.sizes(work.group),
            **cut,
        )
        sizes = {"DIM": dim, "DIM_ROOM": _room(dim), "TILE": work.tile}
        combine_kernel[len(tokens), heads](
            out, answers, logs, tokens, lengths, work.window, room, **sizes, **cut
        )


def shares_bytes(rows: int, heads: int, head_dim: int) -> int:
    """Returns the most bytes that the shares of so many rows take."""
    return min(rows, MOST_ROWS) * heads * MOST_SHARES * (head_dim + 1) * torch.float32.itemsize


def _room_for_shares(table: DecodeTable, block_tokens: int) -> int:
    """Returns the most shares that a row of the table may have."""
    return max(1, min(table.blocks.shape[1] * block_tokens // LEAST_SHARE, MOST_SHARES))


def _attend_tiles(work: _Work, given: PrefillTiles, out: torch.Tensor) -> None:
    queries = given.tile_tokens * work.group
    wide = _room(queries) * _room(work.query.shape[2]) >= 2**13  # would not fit four warps' registers
    prefill_kernel[len(given.tiles), work.query.shape[0] // work.group](
        out,
        *work.tensors,
        given.tiles,
        given.blocks,
        given.blocks.stride(0),
        *work.numbers,
        **work.sizes(queries),
        num_warps=8 if wide else 4,
        num_stages=2,
    )


def _room(size: int) -> int:
    """Returns the power of two that Triton's products take `size` as."""
    room: int = max(16, triton.next_power_of_2(size))
    return room


def _whole(part: torch.Tensor) -> torch.Tensor:
    """Returns `[heads, tokens, head_dim]` of `[1, heads, tokens, head_dim]`, each head's numbers together."""
    return part[0] if part.stride(-1) == 1 else part[0].contiguous()
