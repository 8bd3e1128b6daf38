"""One decode step of the base on inputs at fixed addresses, as a graph captures it."""

import torch

from parfocal.engine.backends.cuda.attention import CudaAttention, DecodeTable
from parfocal.engine.backends.cuda.lora import CudaLora, PageStore
from parfocal.engine.backends.cuda.steps.decode_inputs import DecodeInputs
from parfocal.engine.model import ResidentBase


class CudaDecode:
    """Calls the transformers model on a bucket of rows; nothing depends on values on the host."""

    def __init__(self, base: ResidentBase, store: PageStore, attention: CudaAttention, ranks: int) -> None:
        self._base = base
        self._store = store
        self._attention = attention
        self._ranks = ranks

    def decode(self, inputs: DecodeInputs, *, adapted: bool) -> torch.Tensor:
        """Returns the logits `[rows, vocabulary]` in the base's type; without `adapted`, no row uses one."""
        lora = CudaLora(self._store, inputs.tiles, self._ranks) if adapted else None
        own = inputs.tokens  # row by row, in the batch and among the blocks
        table = DecodeTable(own, inputs.device.lengths, own, inputs.device.blocks)
        with self._base.active.during(lora):
            output = self._base.model(
                input_ids=inputs.device.ids[None],
                position_ids=inputs.device.positions[None],
                use_cache=False,
                step=self._attention.step_on(table, inputs.device.written),
            )
        logits: torch.Tensor = output.logits[0]
        return logits
