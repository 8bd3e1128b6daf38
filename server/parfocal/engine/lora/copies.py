"""How adapters' weights reach the device's memory. Knows neither slabs nor slots."""

from typing import Protocol

import torch


class Copies(Protocol):
    """Writes to tensors on the device. Both methods return when the write is done; no step waits for them.

    Memory is freed only once the device has left every step that reads it, so no step under way reads the
    targets' old contents.
    """

    @property
    def pinned(self) -> bool:
        """Whether pages in host memory should be page-locked, which makes copies to the device fast."""

    def copy(self, targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
        """Copies each source, in host memory, to its target of the same shape and dtype."""

    def zero(self, targets: list[torch.Tensor]) -> None:
        """Sets all numbers of the targets to 0."""


class PlainCopies:
    """Writes on the calling thread, which is all that a CPU needs."""

    pinned = False

    def copy(self, targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
        """Copies each source to its target."""
        torch._foreach_copy_(targets, sources)

    def zero(self, targets: list[torch.Tensor]) -> None:
        """Sets all numbers of the targets to 0."""
        torch._foreach_zero_(targets)
