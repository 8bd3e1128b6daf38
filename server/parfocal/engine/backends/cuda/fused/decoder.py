"""A base's layers by fused operations: ten launches a layer, adapters among them. Knows no requests."""

from typing import Any, Protocol

import torch

from parfocal.engine.backends.cuda.fused.operations import (
    Norm,
    Rotation,
    add_and_normalise,
    gated,
    rotate_and_store,
)
from parfocal.engine.backends.cuda.fused.pending import Pending
from parfocal.engine.backends.cuda.fused.plan import DecoderPlan, LayerPlan
from parfocal.engine.backends.cuda.fused.projection import Projection
from parfocal.engine.backends.cuda.lora import CudaLora
from parfocal.engine.model import KvCache, ResidentBase, Scoring
from parfocal.engine.stopwatch import ACTIVATION, ATTENTION, BASE, NORMS, ROTATION


class StoredAttention(Protocol):
    """One step's attention to a cache that fused operations write."""

    @property
    def written(self) -> torch.Tensor:
        """Where each token's key and value go, `[tokens]`; -1 for padding."""

    def attend_stored(self, layer: int, query: torch.Tensor, scoring: Scoring) -> torch.Tensor:
        """Each token's answer `[tokens, heads, head_dim]` to a query of that shape."""


class FusedDecoder:
    """transformers' embeddings, rotations and head around fused layers.

    A layer ends with its last product; the next one's first operation, or the norm after the layers, adds it.
    """

    def __init__(self, base: ResidentBase, plan: DecoderPlan, cache: KvCache) -> None:
        known: Any = base.model
        self._decoder, self._head = known.model, known.lm_head
        self._plan = plan
        self._cache = cache
        self._watch = base.backend.watch

    def logits(
        self, ids: torch.Tensor, positions: torch.Tensor, lora: CudaLora | None, attention: StoredAttention
    ) -> torch.Tensor:
        """The logits `[tokens, vocabulary]` in the base's type; see `states`."""
        logits: torch.Tensor = self._head(self.states(ids, positions, lora, attention))
        cap = self._plan.softcap
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def states(
        self, ids: torch.Tensor, positions: torch.Tensor, lora: CudaLora | None, attention: StoredAttention
    ) -> torch.Tensor:
        """The hidden states `[tokens, hidden]` after the final norm, of tokens `ids` at `positions`.

        Raises what Triton raises where a kernel cannot be built or launched.
        """
        residual: torch.Tensor = self._decoder.embed_tokens(ids[None])[0].contiguous()
        rotations = self._rotations(residual, positions, attention.written)
        waiting: Pending | None = None
        inner: Norm | None = None
        for number, layer in enumerate(self._plan.layers):
            x = self._normalised(residual, waiting, layer.before_attention, inner)
            rotation = rotations[self._plan.rotation_of(layer)]
            answers = self._attended(
                number, layer, self._product(layer.query_key_value, x, lora), rotation, attention
            )
            output = self._product(layer.output, answers, lora)
            x = self._normalised(residual, output, layer.before_feed_forward, layer.after_attention)
            both = self._product(layer.gate_up, x, lora)
            with self._watch.part(ACTIVATION):
                x = gated(both, residual.dtype, gelu=self._plan.gelu)
            waiting, inner = self._product(layer.down, x, lora), layer.after_feed_forward
        return self._normalised(residual, waiting, self._plan.norm, inner)

    def _product(self, projection: Projection, x: torch.Tensor, lora: CudaLora | None) -> Pending:
        with self._watch.part(BASE):
            return projection(x, lora)

    def _normalised(
        self, residual: torch.Tensor, pending: Pending | None, norm: Norm, inner: Norm | None
    ) -> torch.Tensor:
        with self._watch.part(NORMS):
            return add_and_normalise(residual, pending, norm, inner)

    def _attended(
        self, number: int, layer: LayerPlan, pending: Pending, rotation: Rotation, attention: StoredAttention
    ) -> torch.Tensor:
        """Each token's answers `[tokens, heads * head_dim]`."""
        with self._watch.part(ROTATION):
            keys, values = self._cache.keys[number], self._cache.values[number]
            query = rotate_and_store(pending, rotation, layer.heads, keys, values)
        with self._watch.part(ATTENTION):
            return attention.attend_stored(number, query, layer.scoring).flatten(1)

    def _rotations(
        self, hidden: torch.Tensor, positions: torch.Tensor, written: torch.Tensor
    ) -> list[Rotation]:
        """Each kind's rotation of the tokens."""
        rotary = self._decoder.rotary_emb
        found = [rotary(hidden[None], positions[None], *kind) for kind in self._plan.kinds]
        return [Rotation(cos[0].contiguous(), sin[0].contiguous(), written) for cos, sin in found]
