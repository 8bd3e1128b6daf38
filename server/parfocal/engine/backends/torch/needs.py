"""Bounds on the memory that steps by torch's own operations, and adapters in slabs, take."""

from parfocal.engine.config import EngineConfig
from parfocal.engine.errors import EngineMisconfigured
from parfocal.engine.lora import SLAB_SLOTS, adapter_bytes_at_worst, slab_sizes
from parfocal.engine.memory import Workspace
from parfocal.engine.model import FLOAT_BYTES, ResidentBase, activation_bytes, query_heads

# Copies of the scores, before and after cap, mask and softmax.
_SCORE_COPIES = 4


def at_most(base: ResidentBase, config: EngineConfig) -> Workspace:
    """An upper bound for any step."""
    weight = max((wide * tall for wide, tall in base.shapes.values()), default=0)
    width = max(FLOAT_BYTES, base.dtype.itemsize)
    # One weight at a time is dequantised.
    fixed = activation_bytes(base, config) + 2 * weight * width
    return Workspace(fixed, _attention_bytes(base, config))


def slab_bytes(base: ResidentBase, config: EngineConfig) -> int:
    """A bound on what adapters of any ranks take in slabs.

    Raises:
        EngineMisconfigured: the settings give a size for pages.
    """
    if config.adapter_bytes is not None:
        raise EngineMisconfigured(
            f"adapter_bytes is for CUDA with its kernels; leave it out on {base.device}",
            field="adapter_bytes",
        )
    slabs = slab_sizes(base.shapes, base.adapter_dtype, config.max_rank, min(SLAB_SLOTS, config.slots))
    return adapter_bytes_at_worst(slabs, config.slots)


def _attention_bytes(base: ResidentBase, config: EngineConfig) -> int:
    """What one layer's attention takes for each token of the longest context.

    torch gathers the context of all rows, padded to the longest, and may repeat it for each query head.
    """
    kv, heads = base.kv_shape, query_heads(base)
    gathered = 2 * config.max_requests * (kv.heads + heads) * kv.head_dim * kv.dtype.itemsize
    scores = _SCORE_COPIES * config.max_batch_tokens * heads * FLOAT_BYTES
    return gathered + scores
