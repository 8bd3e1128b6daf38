"""The most memory that one step takes beside what stays, by arithmetic over the base's sizes.

It counts the tensors that can be alive at once in the widest layer, so it is a bound and not an estimate.
"""

from typing import Any, Protocol

import torch

from parfocal.engine.config import EngineConfig
from parfocal.engine.loading.base import ResidentBase
from parfocal.engine.memory.budget import Workspace

_FLOAT_BYTES = 4  # norms, scores and logits are float32 whatever the base's numbers are
# Copies of one token's vector that are alive at once, read off transformers' decoder layers: the residual
# and its normalised forms; gate, up, their activation and product; query, key and value before and after
# their rotation, and the answer.
_HIDDEN_COPIES = 6
_WIDE_COPIES = 5
_HEAD_COPIES = 4
# What query, key and value have of an adapter between its two matrices.
_INNER_COPIES = 3
# Scores before and after cap, mask and softmax.
_SCORE_COPIES = 4
# The head's logits as float32, those of rows that draw or want log-probabilities, and double-precision sums.
_LOGIT_COPIES = 8


class WorkspaceMeasure(Protocol):
    """Finds a step's workspace; on a GPU it may run a step of the largest size and look."""

    def __call__(self, base: ResidentBase, config: EngineConfig) -> Workspace:
        """Returns the most that a step of `base` takes under `config`."""


def at_most(base: ResidentBase, config: EngineConfig) -> Workspace:
    """Returns an upper bound for any step, whatever its rows are."""
    model: Any = base.model
    text = model.config.get_text_config()
    tokens, width = config.max_batch_tokens, max(_FLOAT_BYTES, base.dtype.itemsize)
    widest = max((max(shape) for shape in base.shapes.values()), default=text.hidden_size)
    heads = text.num_attention_heads + 2 * base.kv_shape.heads
    vectors = (
        _HIDDEN_COPIES * text.hidden_size
        + _WIDE_COPIES * widest
        + _HEAD_COPIES * heads * base.kv_shape.head_dim
        + _INNER_COPIES * config.max_rank
    )
    weight = max((wide * tall for wide, tall in base.shapes.values()), default=0)
    return Workspace(
        fixed_bytes=tokens * vectors * width
        + _LOGIT_COPIES * config.max_requests * text.vocab_size * _FLOAT_BYTES
        # Where no native kernel multiplies 4-bit numbers, one weight at a time is dequantised.
        + (0 if base.native is not None else 2 * weight * width),
        context_token_bytes=_attention_bytes(base, config, text.num_attention_heads),
    )


def _attention_bytes(base: ResidentBase, config: EngineConfig, heads: int) -> int:
    """Returns what one layer's attention takes for each token of the longest context.

    The native kernel reads keys and values where they lie and keeps one row of scores for each thread. torch
    gathers the context of all rows, padded to the longest, and may repeat it for each query head.
    """
    if base.native is not None:
        return torch.get_num_threads() * heads * _FLOAT_BYTES
    kv = base.kv_shape
    gathered = 2 * config.max_requests * (kv.heads + heads) * kv.head_dim * kv.dtype.itemsize
    scores = _SCORE_COPIES * config.max_batch_tokens * heads * _FLOAT_BYTES
    return gathered + scores
