"""Prepares a step's LoRA work and attention on CUDA, by the kernels that were chosen at start."""

from collections.abc import Callable

from parfocal.engine.backends.cuda.lora import CudaLora, GroupGuard, PageStore, PlainLora, StepLora, tiles_of
from parfocal.engine.lora import LoraWork
from parfocal.engine.model import AttentionWork
from parfocal.engine.scheduling import LaidRow, segments


class CudaStepWork:
    """`attention` prepares a step's attention. With `guard` None, adapters are computed by plain torch.

    With `invariant`, a row's bits depend on no other row, if the attention's do not.
    """

    def __init__(
        self,
        store: PageStore,
        ranks: int,
        attention: Callable[[list[LaidRow]], AttentionWork],
        guard: GroupGuard | None,
        *,
        invariant: bool = False,
    ) -> None:
        self._store = store
        self._ranks = ranks
        self._attention = attention
        self._guard = guard
        self._invariant = invariant

    def lora(self, laid: list[LaidRow]) -> LoraWork | None:
        """Returns the rows' LoRA work; None if no row uses an adapter."""
        found = segments(laid)
        if not found:
            return None
        plain = PlainLora(self._store, found)
        if self._guard is None or not self._guard.is_fast:
            return plain
        tiles = tiles_of(found, self._store.table.device, short=self._invariant)
        kernels = CudaLora(self._store, tiles, self._ranks)
        return StepLora(kernels, plain, self._guard)

    def attention(self, laid: list[LaidRow]) -> AttentionWork:
        """Returns the rows' attention."""
        return self._attention(laid)
