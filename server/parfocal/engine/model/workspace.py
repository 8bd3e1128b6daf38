"""The temporary memory of one step, whatever computes it, by arithmetic over the base's sizes.

Counts the tensors that can be alive at once in the widest layer, so it is a bound and not an estimate.
"""

from typing import Any

from parfocal.engine.config import EngineConfig
from parfocal.engine.model.resident import ResidentBase

FLOAT_BYTES = 4  # norms, scores and logits are float32 whatever the base's dtype
# Copies of one token's vector that are alive at once, read off transformers' decoder layers: the residual
# and its normalised forms; gate, up, their activation and product; query, key and value before and after
# their rotation, and the answer.
_HIDDEN_COPIES = 6
_WIDE_COPIES = 5
_HEAD_COPIES = 4
# What query, key and value hold between an adapter's two matrices.
_INNER_COPIES = 3
# The head's logits as float32, copies for rows that sample or want log-probabilities, and double-precision
# sums.
_LOGIT_COPIES = 8


def activation_bytes(base: ResidentBase, config: EngineConfig) -> int:
    """A bound on the activations and logits of any step, without its attention's own."""
    model: Any = base.model
    text = model.config.get_text_config()
    widest = max((max(shape) for shape in base.shapes.values()), default=text.hidden_size)
    heads = query_heads(base) + 2 * base.kv_shape.heads
    vectors = (
        _HIDDEN_COPIES * text.hidden_size
        + _WIDE_COPIES * widest
        + _HEAD_COPIES * heads * base.kv_shape.head_dim
        + _INNER_COPIES * config.max_rank
    )
    width = max(FLOAT_BYTES, base.dtype.itemsize)
    logits = _LOGIT_COPIES * config.max_requests * text.vocab_size * FLOAT_BYTES
    size_bytes: int = config.max_batch_tokens * vectors * width + logits
    return size_bytes


def query_heads(base: ResidentBase) -> int:
    """How many query heads each layer has."""
    heads: int = base.model.config.get_text_config().num_attention_heads  # type: ignore[operator, union-attr]
    return heads
