"""Decode steps of a base on the CUDA path with our own products, untried: fused, and module by module."""

from dataclasses import dataclass, field, replace
from typing import Any

from parfocal.engine.backends.cuda.attention import CudaAttention
from parfocal.engine.backends.cuda.four_bit import BlockedLinear4bit, Serving, TritonProduct, joined, ways_for
from parfocal.engine.backends.cuda.four_bit.linears import by_kernels
from parfocal.engine.backends.cuda.fused import FusedDecoder
from parfocal.engine.backends.cuda.fused.plan import plan_of
from parfocal.engine.backends.cuda.fused.shrinking import InOneLaunch, Shrinking
from parfocal.engine.backends.cuda.groups import columns_of, groups_of
from parfocal.engine.backends.cuda.lora import PageStore, Room, StoreShape, group_linears
from parfocal.engine.backends.cuda.steps import CudaDecode, ModuleLayers
from parfocal.engine.lora.copies import PlainCopies
from parfocal.engine.model import KvCache, ResidentBase, query_heads

_EVERY_ROW = 1 << 20


@dataclass(frozen=True)
class LayerSteps:
    """One base, its cache, and an empty store of adapters of up to `rank`."""

    base: ResidentBase
    cache: KvCache
    store: PageStore
    rank: int
    processors: int
    shrinking: Shrinking = field(default_factory=InOneLaunch)

    def fused(self, layers: int) -> CudaDecode:
        """A decode step by the first so many layers, fused."""
        plan = plan_of(self.base.model, self.base.kv_shape.heads, self.base.kv_shape.head_dim)
        for projection in plan.projections:
            projection.shrinking = self.shrinking
        decoder = FusedDecoder(self.base, replace(plan, layers=plan.layers[:layers]), self.cache)
        return CudaDecode(decoder, self.store, self._attention, self.rank)

    def by_modules(self, layers: int) -> CudaDecode:
        """The same by transformers' modules; sets how many layers the model goes through."""
        known: Any = self.base.model
        known.config.num_hidden_layers = layers
        return CudaDecode(ModuleLayers(self.base), self.store, self._attention, self.rank)

    @property
    def _attention(self) -> CudaAttention:
        return CudaAttention(self.cache, query_heads(self.base), self.processors)


def layer_steps(base: ResidentBase, blocks: int, adapters: int, rank: int, processors: int = 4) -> LayerSteps:
    """Gives a base whose linears are blocked our own products, and its steps room for so much."""
    ways = ways_for(base.device, base.dtype)
    serving = Serving(TritonProduct(ways[0]), _EVERY_ROW, by_kernels)
    for module in base.model.modules():
        if isinstance(module, BlockedLinear4bit):
            module.serving = serving
    groups = groups_of(base.shapes)
    group_linears(base.model, groups, base.active, joined)
    shape = StoreShape(base.shapes, base.adapter_dtype, rank, base.device)
    room = Room(adapters, adapters * shape.most_pages * shape.page_bytes)
    store = PageStore(columns_of(groups), shape, room, PlainCopies())
    cache = KvCache(base.kv_shape, blocks, 16, base.device)
    return LayerSteps(base, cache, store, rank, processors)
