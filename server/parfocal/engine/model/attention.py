"""Paged attention behind transformers' attention interface; the backend's step work computes it."""

from typing import NamedTuple, Protocol

import torch
from torch import nn
from transformers import AttentionInterface

ATTENTION = "parfocal_paged"


class NewTokens(NamedTuple):
    """query `[1, heads, tokens, head_dim]`; key and value `[1, kv_heads, tokens, head_dim]`."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor


class Scoring(NamedTuple):
    """How a layer scores: scaling, sliding window in tokens, and soft cap."""

    scaling: float
    window: int | None
    softcap: float | None


class AttentionWork(Protocol):
    """One step's attention, ready to be done in each layer in turn."""

    def attend(self, layer: int, new: NewTokens, scoring: Scoring) -> torch.Tensor:
        """Stores the new keys and values; returns each token's answer `[1, tokens, heads, head_dim]`."""


def paged_attention(  # noqa: PLR0913 - the signature is transformers'
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    step: AttentionWork,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Stores the new keys and values, then attends each row to its whole context.

    query `[1, heads, tokens, head_dim]`, key and value `[1, kv_heads, tokens, head_dim]`; returns
    `[1, tokens, heads, head_dim]`. The signature is that of `transformers.AttentionInterface`.
    """
    layer: int = module.layer_idx  # type: ignore[assignment]
    return step.attend(layer, NewTokens(query, key, value), Scoring(scaling, sliding_window, softcap)), None


def register_attention() -> None:
    """Registers the attention with transformers under the name `ATTENTION`."""
    AttentionInterface.register(ATTENTION, paged_attention)
