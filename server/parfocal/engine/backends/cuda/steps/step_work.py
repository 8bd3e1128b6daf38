"""Prepares a step's LoRA work and attention on CUDA, by the kernels that were chosen at start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from parfocal.engine.backends.cuda.lora.page_store import PageStore
from parfocal.engine.backends.cuda.lora.plain_lora import PlainLora
from parfocal.engine.backends.cuda.lora.step import CudaLora, tiles_of
from parfocal.engine.lora import LoraWork
from parfocal.engine.model.attention import AttentionWork
from parfocal.engine.scheduling import LaidRow, segments


class GroupGuard(Protocol):
    """Adds a step's adapters to a group of linears, by kernels as long as `is_fast`."""

    @property
    def is_fast(self) -> bool:
        """Tells whether kernels are still tried."""

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
class StepLora:
    """One step's LoRA work: by kernels until one fails, by plain torch from then on."""

    kernels: CudaLora
    plain: PlainLora
    guard: GroupGuard

    def add_to(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        """Adds the adapters' part to `y` `[…, tokens, out]` in place, from `x` `[…, tokens, in]`."""
        self.add_to_group([y], x, (path,))

    def add_to_group(self, ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str]) -> None:
        """Does so for several linears on the same `x`."""
        self.guard(self, ys, x, paths)


def by_kernels(work: StepLora, ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str]) -> None:
    """The guarded function: nothing is added to `ys` before its last launch."""
    work.kernels.add_to_group(ys, x, paths)


def by_torch(work: StepLora, ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str]) -> None:
    """What stands in for it."""
    work.plain.add_to_group(ys, x, paths)


class CudaStepWork:
    """`attention` prepares a step's attention. With `guard` None, adapters are computed by plain torch."""

    def __init__(
        self,
        store: PageStore,
        ranks: int,
        attention: Callable[[list[LaidRow]], AttentionWork],
        guard: GroupGuard | None,
    ) -> None:
        self._store = store
        self._ranks = ranks
        self._attention = attention
        self._guard = guard

    def lora(self, laid: list[LaidRow]) -> LoraWork | None:
        """Returns the rows' LoRA work; None if no row uses an adapter."""
        found = segments(laid)
        if not found:
            return None
        plain = PlainLora(self._store, found)
        if self._guard is None or not self._guard.is_fast:
            return plain
        kernels = CudaLora(self._store, tiles_of(found, self._store.table.device), self._ranks)
        return StepLora(kernels, plain, self._guard)

    def attention(self, laid: list[LaidRow]) -> AttentionWork:
        """Returns the rows' attention."""
        return self._attention(laid)
