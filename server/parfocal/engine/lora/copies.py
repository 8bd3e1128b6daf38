"""How adapters' weights reach the device's memory. Knows neither slabs nor slots."""

from typing import Protocol

import torch


class Copies(Protocol):
    """Writes to tensors on the device. Both ways return once it is done, and no step waits for them.

    Whatever steps were begun before may still read what lay in the same memory: that is waited for first.
    """

    @property
    def pinned(self) -> bool:
        """Whether host memory should be page-locked, which makes copies to the device fast."""

    def copy(self, targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
        """Copies each source, in host memory, to the target at its place, of the same shape and type."""

    def zero(self, targets: list[torch.Tensor]) -> None:
        """Sets all numbers of the targets to 0."""


class PlainCopies:
    """Writes on the calling thread; on a CPU nothing else is needed."""

    def __init__(self, *, pinned: bool = False) -> None:
        self.pinned = pinned

    def copy(self, targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
        """Copies each source to the target at its place."""
        torch._foreach_copy_(targets, sources)

    def zero(self, targets: list[torch.Tensor]) -> None:
        """Sets all numbers of the targets to 0."""
        torch._foreach_zero_(targets)
