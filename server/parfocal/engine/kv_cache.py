"""The paged KV cache: for each layer, keys and values in blocks (PagedAttention, arXiv 2309.06180)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class KvShape:
    """The cache's geometry for one token of one layer."""

    layers: int
    heads: int
    head_dim: int
    dtype: torch.dtype

    @property
    def token_bytes(self) -> int:
        """Returns the bytes that one token takes over all layers, keys and values."""
        return 2 * self.layers * self.heads * self.head_dim * self.dtype.itemsize


class KvCache:
    """Keys and values of every layer, each `[blocks * block_tokens, kv_heads, head_dim]`."""

    def __init__(self, shape: KvShape, blocks: int, block_tokens: int, device: torch.device) -> None:
        size = (blocks * block_tokens, shape.heads, shape.head_dim)
        self.block_tokens = block_tokens
        self.keys = [torch.zeros(size, dtype=shape.dtype, device=device) for _ in range(shape.layers)]
        self.values = [torch.zeros(size, dtype=shape.dtype, device=device) for _ in range(shape.layers)]

    def positions(self, blocks: Sequence[int], start: int, end: int) -> list[int]:
        """Returns where the tokens at `start` to `end` (exclusive) of a request with these blocks lie."""
        size = self.block_tokens
        return [blocks[at // size] * size + at % size for at in range(start, end)]
