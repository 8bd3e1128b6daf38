"""The base's forward pass by fused layers, and by transformers' own once a kernel has failed."""

from collections.abc import Callable
from typing import Protocol

import torch

from parfocal.engine.backends.cuda.fused.decoder import StoredAttention
from parfocal.engine.backends.cuda.lora import CudaLora
from parfocal.engine.backends.cuda.sending import OneCopy, Send
from parfocal.engine.model import Forward, ResidentBase
from parfocal.engine.scheduling import LaidRow
from parfocal.engine.stopwatch import SCHEDULING

States = Callable[[list[LaidRow], list[int]], torch.Tensor]


class FusedWork(Protocol):
    """Prepares what all fused layers of one step share."""

    def kernels(self, laid: list[LaidRow], send: Send) -> CudaLora | None:
        """The rows' LoRA work by kernels; None if no row uses an adapter."""

    def stored_attention(self, laid: list[LaidRow], send: Send) -> StoredAttention:
        """The rows' attention to keys that are stored."""


class LayerStates(Protocol):
    """The base's fused layers; see `FusedDecoder`."""

    def states(
        self, ids: torch.Tensor, positions: torch.Tensor, lora: CudaLora | None, attention: StoredAttention
    ) -> torch.Tensor:
        """The hidden states `[tokens, hidden]` after the final norm, of tokens `ids` at `positions`."""


class FusedStates:
    """Runs the fused layers over a flat batch."""

    def __init__(self, base: ResidentBase, decoder: LayerStates, work: FusedWork) -> None:
        self._base = base
        self._decoder = decoder
        self._work = work

    def __call__(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        """The hidden states `[places, hidden]` of the batch's `places` after the final norm."""
        inputs = OneCopy(self._base.device)
        with self._base.backend.watch.part(SCHEDULING):
            ids = inputs.numbers([token for item in laid for token in item.row.token_ids])
            at = inputs.numbers([place for item in laid for place in range(item.row.start, item.length)])
            kept = inputs.numbers(places)
            lora = self._work.kernels(laid, inputs)
            attention = self._work.stored_attention(laid, inputs)
            inputs.send()
        return self._decoder.states(ids, at, lora, attention).index_select(0, kept)


class FusedForward:
    """Runs `states`, and the head of `plain`."""

    def __init__(self, states: States, plain: Forward) -> None:
        self._states = states
        self._plain = plain

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """The logits `[places, vocabulary]` of the batch's places `last`, as float32."""
        return self._plain.head(self._states(laid, last or [0]))

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        """The hidden states `[places, hidden]` of the batch's `places` after the final norm."""
        return self._states(laid, places)

    def head(self, states: torch.Tensor) -> torch.Tensor:
        """The logits `[places, vocabulary]` of `states` `[places, hidden]`, as float32."""
        return self._plain.head(states)
