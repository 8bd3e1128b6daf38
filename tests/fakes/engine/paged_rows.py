"""Rows of a step over a paged cache of which the rest is NaN, and what attention owes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from parfocal.engine.model import KvCache, KvShape, NewTokens, Scoring
from parfocal.engine.scheduling import token_places
from parfocal.engine.scheduling.plan import LaidRow, PlanRow

# Tokens in the cache before the step, and tokens computed now.
Context = tuple[int, int]


@dataclass(frozen=True)
class Heads:
    """The shape of one layer's attention."""

    kv_heads: int = 2
    group: int = 2
    head_dim: int = 16
    dtype: torch.dtype = torch.float32

    @property
    def tolerance(self) -> float:
        """How far an answer may be off. Triton's interpreter cuts bfloat16 off, where a device rounds."""
        return {torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 2e-2}[self.dtype]


@dataclass(frozen=True)
class Drawn:
    """What a step's rows are made from."""

    heads: Heads
    contexts: Sequence[Context]
    block_tokens: int = 4
    seed: int = 0


class PagedRows:
    """One step's rows.

    Their blocks lie shuffled in the cache, and each row has a spare one. What a row has not written is NaN,
    in its last block too.
    """

    def __init__(self, drawn: Drawn, device: torch.device) -> None:
        self.heads = heads = drawn.heads
        contexts, block_tokens = drawn.contexts, drawn.block_tokens
        numbers = torch.Generator().manual_seed(drawn.seed)
        needed = [-(-(past + new) // block_tokens) + 1 for past, new in contexts]
        shuffled = torch.randperm(sum(needed) + 1, generator=numbers).tolist()
        shape = KvShape(1, heads.kv_heads, heads.head_dim, heads.dtype)
        self.cache = KvCache(shape, len(shuffled), block_tokens, device)
        self.keys, self.values = (
            [self._draw(numbers, heads.kv_heads, past + new) for past, new in contexts] for _ in range(2)
        )
        self.queries = [
            self._draw(numbers, heads.kv_heads * heads.group, new).to(device) for _, new in contexts
        ]
        self.laid: list[LaidRow] = []
        for order, ((past, new), count) in enumerate(zip(contexts, needed, strict=True)):
            blocks = tuple(shuffled.pop() for _ in range(count))
            start = self.laid[-1].end if self.laid else 0
            row = PlanRow(str(order), [0] * new, past, blocks, None, None)
            self.laid.append(LaidRow(row, order, start, start + new))
        self.forget()

    def _draw(self, numbers: torch.Generator, heads: int, tokens: int) -> torch.Tensor:
        return torch.randn(heads, tokens, self.heads.head_dim, generator=numbers).to(self.heads.dtype)

    def forget(self) -> None:
        """Sets the cache to what it was before the step."""
        for store, parts in ((self.cache.keys[0], self.keys), (self.cache.values[0], self.values)):
            store.fill_(torch.nan)
            cells = store.flatten(0, 1)
            for item, part in zip(self.laid, parts, strict=True):
                places = token_places(item.row.blocks, 0, item.row.start, self.cache.block_tokens)
                cells[places] = part[:, : item.row.start].transpose(0, 1).to(store.device)

    def new(self, rows: Sequence[int] | None = None, *, padding: int = 0) -> NewTokens:
        """Returns the operands of the rows numbered `rows` (all if None), then of `padding` tokens of NaN."""
        picked = range(len(self.laid)) if rows is None else rows
        begun = [(n, self.laid[n].row.start) for n in picked]
        parts = (
            [self.queries[n] for n in picked],
            [self.keys[n][:, start:].to(self.queries[n].device) for n, start in begun],
            [self.values[n][:, start:].to(self.queries[n].device) for n, start in begun],
        )
        lost = torch.full((1, padding, self.heads.head_dim), torch.nan, dtype=self.heads.dtype)
        counts = (self.heads.kv_heads * self.heads.group, self.heads.kv_heads, self.heads.kv_heads)
        lost = lost.to(self.cache.keys[0].device)
        return NewTokens(
            *(_joined([*part, lost.expand(count, -1, -1)]) for part, count in zip(parts, counts, strict=True))
        )

    def expected(self, number: int, scoring: Scoring) -> torch.Tensor:
        """Returns what the formula gives the row's new tokens, `[new, heads, head_dim]` in float64."""
        item, group = self.laid[number], self.heads.group
        q = self.queries[number].cpu().double()
        k, v = (part[number].double().repeat_interleave(group, 0) for part in (self.keys, self.values))
        scores = q @ k.transpose(1, 2) * scoring.scaling
        if scoring.softcap is not None:
            scores = torch.tanh(scores / scoring.softcap) * scoring.softcap
        at = torch.arange(item.length)
        own = at[item.row.start :, None]
        seen = at <= own
        if scoring.window is not None:
            seen &= at > own - scoring.window
        answer: torch.Tensor = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ v
        return answer.transpose(0, 1)

    def check(self, answer: torch.Tensor, scoring: Scoring, rows: Sequence[int] | None = None) -> None:
        """Compares `answer` `[tokens, heads, head_dim]` of the rows numbered `rows` with the formula's."""
        picked = range(len(self.laid)) if rows is None else rows
        expected = torch.cat([self.expected(number, scoring) for number in picked])
        tolerance = self.heads.tolerance
        torch.testing.assert_close(answer.cpu().double(), expected, rtol=tolerance, atol=tolerance)


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Returns `[1, heads, tokens, head_dim]` with the memory of `[1, tokens, heads, head_dim]`."""
    return torch.cat([part.transpose(0, 1) for part in parts]).transpose(0, 1)[None]
