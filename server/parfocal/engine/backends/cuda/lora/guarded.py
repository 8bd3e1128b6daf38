"""One step's LoRA work, which falls back to plain torch when a kernel fails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from parfocal.engine.backends.cuda.lora.plain_lora import PlainLora
from parfocal.engine.backends.cuda.lora.step import CudaLora
from parfocal.engine.lora import LoraWork


class GroupGuard(Protocol):
    """Adds a step's adapters to a group of linears, by kernels as long as `is_fast`."""

    @property
    def is_fast(self) -> bool:
        """Whether kernels are still tried."""

    def __call__(
        self, work: "StepLora", ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str], /
    ) -> None:
        """Adds the adapters' part to each of `ys`, from `x`."""


class Unguarded:
    """Kernels or an error: for steps that only measure."""

    is_fast = True

    def __call__(
        self, work: "StepLora", ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str], /
    ) -> None:
        """Adds the adapters' part to each of `ys`, from `x`."""
        by_kernels(work, ys, x, paths)


@dataclass(frozen=True, slots=True)
class StepLora(LoraWork):
    """One step's LoRA work: by kernels until one fails, by plain torch from then on."""

    kernels: CudaLora
    plain: PlainLora
    guard: GroupGuard

    def add_to(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        """Adds the adapters' part to `y` `[…, tokens, out]` in place, from `x` `[…, tokens, in]`."""
        self.add_to_group([y], x, (path,))

    def add_to_group(self, ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str]) -> None:
        """Adds the adapters' part for several linears on the same `x`."""
        self.guard(self, ys, x, paths)


def by_kernels(work: StepLora, ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str]) -> None:
    """The guarded function: nothing is added to `ys` before its last launch."""
    work.kernels.add_to_group(ys, x, paths)


def by_torch(work: StepLora, ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str]) -> None:
    """The fallback."""
    work.plain.add_to_group(ys, x, paths)
