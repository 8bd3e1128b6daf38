"""A base's forward pass with all its decoder layers in one native call. Knows no requests."""

from collections.abc import Sequence
from ctypes import POINTER, addressof, cast
from typing import Any

import torch

from parfocal.engine.backends.native.layers import DecoderParts, LayerParts, Projection
from parfocal.engine.backends.native.library import Library
from parfocal.engine.backends.native.modules import NativeRmsNorm
from parfocal.engine.backends.native.rows import SlabTables, adapter_rows, contexts_of
from parfocal.engine.backends.native.structs import (
    DecoderStruct,
    GroupStruct,
    LayerStruct,
    PartStruct,
    StepStruct,
    array_of,
)
from parfocal.engine.lora import LoraStore
from parfocal.engine.model import KvCache, ResidentBase
from parfocal.engine.scheduling import LaidRow, segments
from parfocal.engine.stopwatch import SCHEDULING


class NativeForward:
    """Computes logits: transformers' embeddings and rotations, native layers, norm and head."""

    def __init__(
        self, library: Library, base: ResidentBase, parts: DecoderParts, cache: KvCache, store: LoraStore
    ) -> None:
        known: Any = base.model
        self._decoder, self._head = known.model, known.lm_head
        self._parts = parts
        self._library = library
        self._watch = base.backend.watch
        self._cache = cache
        self._store = store
        self._kinds = _rotation_kinds(parts, self._decoder)
        self._slabs = SlabTables([one.path for layer in parts.layers for one in layer.projections])
        self._struct = self._decoder_struct(base)

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """The logits `[places, vocabulary]` of the batch's places `last`."""
        return self.head(self.states(laid, last or [0]))

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        """The hidden states `[places, hidden]` of the batch's `places` after the final norm."""
        ids = torch.tensor([[token for item in laid for token in item.row.token_ids]])
        hidden: torch.Tensor = self._decoder.embed_tokens(ids).contiguous()
        self._run_layers(laid, hidden)
        states: torch.Tensor = self._decoder.norm(hidden[:, places])[0]
        return states

    def head(self, states: torch.Tensor) -> torch.Tensor:
        """The logits `[places, vocabulary]` of `states` `[places, hidden]`."""
        logits: torch.Tensor = self._head(states[None])[0]
        cap = self._parts.logit_softcap
        return logits if cap is None else (logits / cap).tanh_() * cap

    def _run_layers(self, laid: list[LaidRow], hidden: torch.Tensor) -> None:
        """Replaces `hidden` `[1, tokens, hidden]` by the last layer's output."""
        with self._watch.part(SCHEDULING):
            contexts = contexts_of(laid, self._cache)
        rotations = self._rotations(hidden, (contexts.lengths - 1)[None])
        step = StepStruct(
            x=hidden.data_ptr(),
            cos=tuple(cos.data_ptr() for cos, _ in rotations),
            sin=tuple(sin.data_ptr() for _, sin in rotations),
            tables=contexts.tables.data_ptr(),
            token_rows=contexts.rows.data_ptr(),
            lengths=contexts.lengths.data_ptr(),
            places=contexts.written.data_ptr(),
            tokens=hidden.shape[1],
            most_blocks=contexts.tables.shape[1],
        )
        with self._watch.part(SCHEDULING):
            # Both must outlive the call to the library.
            _slabs, _works = self._add_adapters(step, laid)
        self._library.decode(addressof(self._struct), addressof(step))

    def _add_adapters(self, step: StepStruct, laid: list[LaidRow]) -> tuple[Any, Any]:
        found = segments(laid)
        if not found:
            return None, None
        used = {number: self._store.slabs[number] for number in dict.fromkeys(s.place.slab for s in found)}
        works = adapter_rows(found, {number: index for index, number in enumerate(used)})
        slabs = self._slabs.of(used)
        step.slabs, step.works = addressof(slabs), works.data_ptr()
        step.work_count = works.shape[0]
        step.whole_adapters = not self._store.dtype.is_floating_point
        step.widest_rank = max(slab.rank for slab in used.values())
        return slabs, works

    def _rotations(
        self, hidden: torch.Tensor, positions: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Cosines and sines `[1, tokens, rotated dimensions]` for each kind of rotation."""
        found = [self._decoder.rotary_emb(hidden, positions, *kind) for kind in self._kinds]
        return [(cos.contiguous(), sin.contiguous()) for cos, sin in found]

    def _decoder_struct(self, base: ResidentBase) -> DecoderStruct:
        parts, shape = self._parts, base.kv_shape
        some = self._rotations(torch.zeros(1, 1, parts.hidden), torch.zeros(1, 1, dtype=torch.int64))
        layers = [self._layer_struct(number, layer) for number, layer in enumerate(parts.layers)]
        self._layers = array_of(LayerStruct, layers)
        return DecoderStruct(
            layers=cast(self._layers, POINTER(LayerStruct)),
            count=len(layers),
            hidden=parts.hidden,
            heads=parts.heads,
            kv_heads=shape.heads,
            dim=shape.head_dim,
            rotary=some[0][0].shape[-1],
            feed_forward=parts.feed_forward,
            block_tokens=self._cache.block_tokens,
            activation=parts.activation,
            epsilon=parts.epsilon,
            scale=parts.layers[0].scale,
            softcap=parts.layers[0].softcap,
            numbers=parts.numbers,
            half=shape.dtype is torch.float16,
        )

    def _layer_struct(self, number: int, layer: LayerParts) -> LayerStruct:
        module = number * len(layer.projections)
        groups = []
        for group in (layer.query_key_value, layer.output, layer.gate_up, layer.down):
            groups.append(_group_struct(group, module))
            module += len(group)
        return LayerStruct(
            *groups,
            before_attention=_address(layer.before_attention),
            after_attention=_address(layer.after_attention),
            before_feed_forward=_address(layer.before_feed_forward),
            after_feed_forward=_address(layer.after_feed_forward),
            query_norm=_address(layer.query_norm),
            key_norm=_address(layer.key_norm),
            keys=self._cache.keys[number].data_ptr(),
            values=self._cache.values[number].data_ptr(),
            window=layer.window,
            rotation=self._kinds.index((layer.kind,)) if (layer.kind,) in self._kinds else 0,
        )


def _group_struct(group: Sequence[Projection], module: int) -> GroupStruct:
    parts, offset = [], 0
    for projection in group:
        parts.append(PartStruct(projection.linear.struct, offset))
        offset += projection.linear.out_features
    array = array_of(PartStruct, parts)
    return GroupStruct(cast(array, POINTER(PartStruct)), len(parts), offset, module)


def _address(norm: NativeRmsNorm | None) -> int | None:
    return None if norm is None else norm.scale.data_ptr()


def _rotation_kinds(parts: DecoderParts, decoder: Any) -> list[tuple[str, ...]]:
    """The rotary module's layer types, if it has several; otherwise nothing."""
    kinds = sorted({layer.kind for layer in parts.layers})
    by_kind = hasattr(decoder.rotary_emb, f"{kinds[0]}_inv_freq")
    return [(kind,) for kind in kinds] if by_kind else [()]
