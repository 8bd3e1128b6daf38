"""One decode step of the base on inputs at fixed addresses, as a graph captures it."""

from typing import Protocol

import torch

from parfocal.engine.backends.cuda.attention import CudaAttention, CudaAttentionStep, DecodeTable
from parfocal.engine.backends.cuda.lora import CudaLora, PageStore, most_by_row
from parfocal.engine.backends.cuda.steps.decode_inputs import DecodeInputs
from parfocal.engine.model import ResidentBase


class Layers(Protocol):
    """The base from token ids to logits."""

    def logits(
        self, ids: torch.Tensor, positions: torch.Tensor, lora: CudaLora | None, attention: CudaAttentionStep
    ) -> torch.Tensor:
        """The logits `[tokens, vocabulary]`, of any type, of tokens `ids` `[tokens]` at `positions`."""


class ModuleLayers:
    """The transformers model, module by module."""

    def __init__(self, base: ResidentBase) -> None:
        self._base = base

    def logits(
        self, ids: torch.Tensor, positions: torch.Tensor, lora: CudaLora | None, attention: CudaAttentionStep
    ) -> torch.Tensor:
        """The logits `[tokens, vocabulary]` in the base's type."""
        with self._base.active.during(lora):
            output = self._base.model(
                input_ids=ids[None], position_ids=positions[None], use_cache=False, step=attention
            )
        logits: torch.Tensor = output.logits[0]
        return logits


class CudaDecode:
    """Calls the base's layers on a bucket of rows; nothing depends on values on the host.

    With `invariant`, a row's bits depend on no other row, if the layers' and the attention's do not.
    """

    def __init__(
        self,
        layers: Layers,
        store: PageStore,
        attention: CudaAttention,
        ranks: int,
        *,
        invariant: bool = False,
    ) -> None:
        self._layers = layers
        self._store = store
        self._attention = attention
        self._ranks = ranks
        self._most_by_row = most_by_row(invariant=invariant)

    def decode(self, inputs: DecodeInputs, *, adapted: bool) -> torch.Tensor:
        """Returns the logits `[rows, vocabulary]`; without `adapted`, no row uses an adapter."""
        lora = CudaLora(self._store, inputs.tiles(self._most_by_row), self._ranks) if adapted else None
        own = inputs.tokens  # row by row, in the batch and among the blocks
        table = DecodeTable(own, inputs.device.lengths, own, inputs.device.blocks)
        attention = self._attention.step_on(table, inputs.device.written)
        return self._layers.logits(inputs.device.ids, inputs.device.positions, lora, attention)
