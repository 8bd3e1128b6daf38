"""Adapters that fit the embedded base, which a server finds by the name in their configuration."""

from collections.abc import Mapping
from pathlib import Path

from fakes.registry.peft_folders import Adapter, Tensor, write_adapter

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
_HIDDEN, _LAYERS, _RANK = 256, 4, 4


def write_tiny_adapter(
    folder: Path, fill: int = 1, rank: int = _RANK, config: Mapping[str, object] | None = None
) -> Path:
    """Writes an adapter of q_proj, each byte of its tensors `fill`, and returns the folder."""
    tensors = {
        f"base_model.model.model.layers.{layer}.self_attn.q_proj.lora_{side}.weight": Tensor(shape, fill=fill)
        for layer in range(_LAYERS)
        for side, shape in (("A", (rank, _HIDDEN)), ("B", (_HIDDEN, rank)))
    }
    adapter = Adapter(
        rank=rank,
        modules=("q_proj",),
        layers=range(_LAYERS),
        fill=fill,
        config=config or {},
        tensors=tensors,
        base="tiny",
    )
    return write_adapter(folder, adapter)
