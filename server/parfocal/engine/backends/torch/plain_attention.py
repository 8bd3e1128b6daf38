"""Softmax attention of a few rows over their gathered context. Knows no cache and no blocks."""

from typing import NamedTuple

import torch
from torch.nn import functional


class Operands(NamedTuple):
    """q `[rows, heads, tokens, head_dim]`; k and v `[rows, kv_heads, length, head_dim]`."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor


def attend(given: Operands, mask: torch.Tensor | None, scaling: float, softcap: float | None) -> torch.Tensor:
    """softmax(q kᵀ · scaling) v, `[rows, heads, tokens, head_dim]`.

    `mask` `[rows or 1, 1, tokens or 1, length]` is True where a query sees a key; None means plainly causal.
    `softcap` bounds the scores to ± its value (Gemma 2, arXiv 2408.00118).
    """
    if softcap is None and (given.q.is_cuda or given.q.dtype is torch.float32):
        return functional.scaled_dot_product_attention(
            *given,
            attn_mask=mask,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=given.q.shape[1] != given.k.shape[1],
        )
    return _attend_plainly(given, mask, scaling, softcap)


def _attend_plainly(
    given: Operands, mask: torch.Tensor | None, scaling: float, softcap: float | None
) -> torch.Tensor:
    """Does it operation by operation: torch's fused attention has no soft cap, and is slow in bfloat16 on
    CPUs.

    Queries that share a key head are stacked, so that no key is copied.
    """
    rows, heads, tokens, dim = given.q.shape
    kv_heads = given.k.shape[1]
    q = given.q.reshape(rows, kv_heads, heads // kv_heads * tokens, dim)
    scores = (q @ given.k.transpose(2, 3) * scaling).float()
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    grouped = scores.view(rows, kv_heads, heads // kv_heads, tokens, -1)
    if mask is None:
        length = grouped.shape[-1]
        mask = torch.ones(tokens, length, dtype=torch.bool, device=q.device).tril(length - tokens)[None, None]
    weights = grouped.masked_fill(~mask[:, :, None], -torch.inf).softmax(-1).to(q.dtype)
    answer: torch.Tensor = weights.view_as(scores) @ given.v
    return answer.view(rows, heads, tokens, dim)
