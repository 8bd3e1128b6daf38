"""Prepares a step's LoRA work and attention on CUDA, by the kernels that were chosen at start."""

from collections.abc import Sequence
from dataclasses import replace

from parfocal.engine.backends.cuda.attention import Attend, CudaAttentionStep, VarlenAttentionStep
from parfocal.engine.backends.cuda.lora import (
    SHORT,
    CudaLora,
    GroupGuard,
    PageStore,
    PlainLora,
    StepLora,
    is_shared,
    places_of,
    tiles_of,
)
from parfocal.engine.backends.cuda.sending import Send, each_by_itself
from parfocal.engine.lora import LoraWork
from parfocal.engine.model import AttentionWork
from parfocal.engine.scheduling import LaidRow, Segment, segments


class CudaStepWork:
    """`attention` prepares a step's attention. With `guard` None, adapters are computed by plain torch.

    With `invariant`, a row's bits depend on no other row, if the attention's do not.
    """

    def __init__(
        self,
        store: PageStore,
        ranks: int,
        attention: Attend,
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
        return StepLora(
            self._kernels(laid, found, each_by_itself(self._store.table.device)), plain, self._guard
        )

    def kernels(self, laid: list[LaidRow], send: Send) -> CudaLora | None:
        """The rows' LoRA work by kernels alone; None if no row uses an adapter."""
        found = segments(laid)
        return self._kernels(laid, found, send) if found else None

    def stored_attention(self, laid: list[LaidRow], send: Send) -> CudaAttentionStep | VarlenAttentionStep:
        """The rows' attention, whose keys and values somebody else stores; only by kernels."""
        attention = self._attention(laid, send)
        assert isinstance(attention, CudaAttentionStep | VarlenAttentionStep)
        return attention

    def attention(self, laid: list[LaidRow]) -> AttentionWork:
        """Returns the rows' attention."""
        return self._attention(laid)

    def _kernels(self, laid: list[LaidRow], found: Sequence[Segment], send: Send) -> CudaLora:
        tiles = tiles_of(found, send, short=self._invariant)
        if tiles.size == SHORT:
            # In tiles a row would have other bits than by itself.
            shared = not self._invariant and is_shared(sum(one.tokens for one in found), tiles.count)
            tiles = replace(tiles, places=places_of(laid, send), shared=shared)
        return CudaLora(self._store, tiles, self._ranks)
