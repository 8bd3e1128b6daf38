"""How a backend holds a model's linears, in memory and in the base cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Kept:
    """A module as tensors, None for those that it lacks, and notes of plain JSON values on what it is."""

    notes: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor | None]


class LinearLayout(Protocol):
    """The linears that a backend keeps in a form of its own; all others stay bitsandbytes'."""

    @property
    def facts(self) -> Mapping[str, object]:
        """What that form depends on besides the weights and their quantisation: plain JSON values."""

    def pack(self, model: nn.Module) -> None:
        """Gives a freshly quantised model the backend's own linears, in place."""

    def keep(self, module: nn.Module) -> Kept | None:
        """A module of the backend's own, and all within it, as tensors; None for any other."""

    def make(self, kept: Kept) -> nn.Module:
        """The module that `kept` describes."""


def put(model: nn.Module, path: str, module: nn.Module) -> None:
    """Replaces the model's module at `path`."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
