"""Attention over the paged KV cache with torch's own operations.

Rows that compute one token (decode) are attended together over their padded context; a row that computes
several (a prompt's chunk) is attended alone. Works for grouped queries, sliding windows and soft-capped
scores.
"""

from dataclasses import dataclass, field

import torch

from parfocal.engine.backends.torch.plain_attention import Operands, attend
from parfocal.engine.model import KvCache, NewTokens, Scoring


@dataclass(frozen=True, slots=True)
class DecodeRows:
    """Rows with one new token each.

    `tokens` `[rows]` are their places in the batch, `blocks` `[rows, most blocks]` the blocks they attend to
    (padded with any of their own), `lengths` `[rows]` how many tokens of these are real.
    """

    tokens: torch.Tensor
    blocks: torch.Tensor
    lengths: torch.Tensor


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """A row with several new tokens.

    Batch places `start` to `end`, the last of `length` in `blocks` `[1, n]`.
    """

    start: int
    end: int
    blocks: torch.Tensor
    length: int

    @property
    def tokens(self) -> int:
        """How many tokens the chunk computes."""
        return self.end - self.start


@dataclass(slots=True)
class AttentionStep:
    """What attention needs to know of one step. `written` `[tokens]` is where the new keys and values go."""

    cache: KvCache
    written: torch.Tensor
    decode: DecodeRows | None
    chunks: tuple[ChunkRow, ...]
    _masks: dict[tuple[int, int | None], torch.Tensor | None] = field(default_factory=dict)

    def attend(self, layer: int, new: NewTokens, scoring: Scoring) -> torch.Tensor:
        """Stores the new keys and values; returns each token's answer `[1, tokens, heads, head_dim]`."""
        query, (scaling, window, softcap) = new.query, scoring
        self.cache.write(layer, self.written, new.key[0].transpose(0, 1), new.value[0].transpose(0, 1))
        out = torch.empty_like(query.transpose(1, 2), memory_format=torch.contiguous_format)
        if self.decode is not None:
            rows = self.decode
            q = query[0].transpose(0, 1)[rows.tokens].unsqueeze(2)
            k, v = self.cache.read(layer, rows.blocks)
            mask = self.decode_mask(rows, window)
            answer = attend(Operands(q, k.transpose(1, 2), v.transpose(1, 2)), mask, scaling, softcap)
            out[0].index_copy_(0, rows.tokens, answer[:, :, 0])
        for number, chunk in enumerate(self.chunks):
            q = query[:, :, chunk.start : chunk.end]
            k, v = (part[:, : chunk.length].transpose(1, 2) for part in self.cache.read(layer, chunk.blocks))
            mask_or_causal = self.chunk_mask(number, window)
            answer = attend(Operands(q, k, v), mask_or_causal, scaling, softcap)
            out[:, chunk.start : chunk.end] = answer.transpose(1, 2)
        return out

    def decode_mask(self, rows: DecodeRows, window: int | None) -> torch.Tensor:
        """The context that each decoding row sees, `[rows, 1, 1, context]`, cached by window."""
        mask = self._masks.get((-1, window))
        if mask is None:
            context = rows.blocks.shape[1] * self.cache.block_tokens
            at = torch.arange(context, device=rows.blocks.device)
            seen = at < rows.lengths[:, None]
            if window is not None:
                seen &= at >= rows.lengths[:, None] - window
            mask = self._masks[-1, window] = seen[:, None, None, :]
        return mask

    def chunk_mask(self, number: int, window: int | None) -> torch.Tensor | None:
        """The context that a chunk's tokens see, `[1, 1, tokens, length]`; None if plainly causal."""
        key = (number, window)
        if key not in self._masks:
            self._masks[key] = self._make_chunk_mask(self.chunks[number], window)
        return self._masks[key]

    def _make_chunk_mask(self, chunk: ChunkRow, window: int | None) -> torch.Tensor | None:
        if chunk.tokens == chunk.length and (window is None or chunk.length <= window):
            return None
        at = torch.arange(chunk.length, device=chunk.blocks.device)
        own = at[-chunk.tokens :, None]
        seen = at <= own
        if window is not None:
            seen &= at > own - window
        return seen[None, None]
