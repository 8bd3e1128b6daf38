"""Which rotary position embeddings a base may have."""

from typing import Any

from transformers import PretrainedConfig

from parfocal.engine.errors import BaseRefused

_BATCH_DEPENDENT = ("dynamic", "longrope")


def refuse_batch_dependent_rope(config: PretrainedConfig) -> None:
    """Refuses frequencies that follow the batch's longest row: a neighbour would change the answer."""
    rope: dict[str, Any] = getattr(config.get_text_config(), "rope_parameters", None) or {}
    layers = [part for part in rope.values() if isinstance(part, dict)] or [rope]
    for part in layers:
        kind = part.get("rope_type", "default")
        if kind in _BATCH_DEPENDENT:
            raise BaseRefused(
                f"rope_type {kind!r} is not supported: its result depends on the rest of the batch"
            )
