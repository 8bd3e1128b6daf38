"""One decode step of the base on inputs at fixed addresses, as a graph captures it."""

from typing import Protocol

import torch

from parfocal.engine.backends.cuda.attention import CudaAttention, CudaAttentionStep, DecodeTable
from parfocal.engine.backends.cuda.lora import Adapters, CudaLora, PageStore
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
    """Calls the base's layers on a bucket of rows; nothing depends on values on the host."""

    def __init__(self, layers: Layers, store: PageStore, attention: CudaAttention, ranks: int) -> None:
        self._layers = layers
        self._store = store
        self._attention = attention
        self._ranks = ranks

    def decode(self, inputs: DecodeInputs, adapters: Adapters) -> torch.Tensor:
        """The logits `[rows, vocabulary]` of rows with such adapters."""
        tiles = inputs.tiles(shared=adapters is Adapters.SHARED)
        lora = None if adapters is Adapters.NONE else CudaLora(self._store, tiles, self._ranks)
        own = inputs.tokens  # row by row, in the batch and among the blocks
        table = DecodeTable(own, inputs.device.lengths, own, inputs.device.blocks)
        attention = self._attention.step_on(table, inputs.device.written)
        return self._layers.logits(inputs.device.ids, inputs.device.positions, lora, attention)
