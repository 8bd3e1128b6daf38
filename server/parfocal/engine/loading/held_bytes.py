"""How much memory a model holds."""

from collections.abc import Iterator, Mapping

import torch
from bitsandbytes.functional import QuantState
from torch import nn


def held_bytes(model: nn.Module) -> int:
    """The bytes of all storage behind the model's tensors, each counted once."""
    found = (tensor.untyped_storage() for module in model.modules() for tensor in _tensors(vars(module)))
    return sum({storage.data_ptr(): storage.nbytes() for storage in found}.values())


def _tensors(value: object) -> Iterator[torch.Tensor]:
    """Yields the tensors in an attribute; submodules are left to the caller."""
    if isinstance(value, torch.Tensor):
        yield value
        yield from _tensors(getattr(value, "quant_state", None))
    elif isinstance(value, QuantState):
        yield from _tensors(vars(value))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
