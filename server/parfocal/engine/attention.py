"""Attention over the paged KV cache for a flat batch of rows, as transformers' attention interface calls it.

Rows that compute one token (decode) are attended together over their padded context; a row that computes
several (a prompt's chunk) is attended alone. Works for grouped queries, sliding windows and soft-capped
scores.
"""

from dataclasses import dataclass, field

import torch
from torch import nn
from transformers import AttentionInterface

from .kv_cache import KvCache

ATTENTION = "parfocal_paged"


@dataclass(frozen=True, slots=True)
class DecodeRows:
    """Rows with one new token each.

    `tokens` `[rows]` are their places in the batch, `context` `[rows, longest]` the cache places of
    everything they attend to (padded with place 0), `lengths` `[rows]` how much of it is real.
    """

    tokens: torch.Tensor
    context: torch.Tensor
    lengths: torch.Tensor


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A row with several new tokens: batch places `start` to `end`, attending to `context` `[length]`."""

    start: int
    end: int
    context: torch.Tensor


@dataclass(slots=True)
class AttentionStep:
    """What attention needs to know of one step. `written` `[tokens]` is where the new keys and values go."""

    cache: KvCache
    written: torch.Tensor
    decode: DecodeRows | None
    chunks: tuple[ChunkRow, ...]
    _masks: dict[tuple[int, int | None], torch.Tensor] = field(default_factory=dict)

    def decode_mask(self, rows: DecodeRows, window: int | None) -> torch.Tensor:
        """Returns which context each decoding row sees, `[rows, 1, 1, longest]`, once for each window."""
        mask = self._masks.get((-1, window))
        if mask is None:
            at = torch.arange(rows.context.shape[1], device=rows.context.device)
            seen = at < rows.lengths[:, None]
            if window is not None:
                seen &= at >= rows.lengths[:, None] - window
            mask = self._masks[-1, window] = seen[:, None, None, :]
        return mask

    def chunk_mask(self, number: int, window: int | None) -> torch.Tensor:
        """Returns which context a chunk's tokens see, `[1, 1, tokens, length]`, once for each window."""
        mask = self._masks.get((number, window))
        if mask is None:
            chunk = self.chunks[number]
            length, device = chunk.context.shape[0], chunk.context.device
            own = torch.arange(length - (chunk.end - chunk.start), length, device=device)[:, None]
            at = torch.arange(length, device=device)
            seen = at <= own
            if window is not None:
                seen &= at > own - window
            mask = self._masks[number, window] = seen[None, None]
        return mask


def paged_attention(  # noqa: PLR0913 - the signature is transformers'
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    step: AttentionStep,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Stores the new keys and values, then attends each row to its whole context.

    query `[1, heads, tokens, head_dim]`, key and value `[1, kv_heads, tokens, head_dim]`; returns
    `[1, tokens, heads, head_dim]`. The signature is that of `transformers.AttentionInterface`.
    """
    layer: int = module.layer_idx  # type: ignore[assignment]
    keys, values = step.cache.keys[layer], step.cache.values[layer]
    keys.index_copy_(0, step.written, key[0].transpose(0, 1).to(keys.dtype))
    values.index_copy_(0, step.written, value[0].transpose(0, 1).to(values.dtype))
    out = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format)
    if step.decode is not None:
        rows = step.decode
        q = query[0].transpose(0, 1)[rows.tokens].unsqueeze(2)
        k, v = keys[rows.context].transpose(1, 2), values[rows.context].transpose(1, 2)
        mask = step.decode_mask(rows, sliding_window)
        out[0].index_copy_(0, rows.tokens, _attend(q, k, v, mask, scaling, softcap)[:, :, 0])
    for number, chunk in enumerate(step.chunks):
        q = query[:, :, chunk.start : chunk.end]
        k, v = keys[chunk.context].transpose(0, 1)[None], values[chunk.context].transpose(0, 1)[None]
        mask = step.chunk_mask(number, sliding_window)
        out[:, chunk.start : chunk.end] = _attend(q, k, v, mask, scaling, softcap).transpose(1, 2)
    return out, None


def register() -> None:
    """Makes the attention known to transformers under the name `ATTENTION`."""
    AttentionInterface.register(ATTENTION, paged_attention)


def _attend(  # noqa: PLR0913 - the operands of one formula
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor,
    scaling: float,
    softcap: float | None,
) -> torch.Tensor:
    """Returns softmax(q kᵀ · scaling) v; q `[rows, heads, n, dim]`, k, v `[rows, kv_heads, length, dim]`."""
    if softcap is None:
        return nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, scale=scaling, enable_gqa=q.shape[1] != k.shape[1]
        )
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = torch.tanh(q @ k.transpose(2, 3) * (scaling / softcap)) * softcap
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1, dtype=torch.float32)
    return weights.to(q.dtype) @ v
