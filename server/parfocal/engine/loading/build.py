"""Puts an engine together from a resident base, settings and a source of adapters."""

import torch
from tokenizers import Tokenizer

from parfocal.engine.adapters import HostTier, SlotResidency, SlotTable, Tiers
from parfocal.engine.backends.native.decoder import NativeForward
from parfocal.engine.backends.native.layers import parts_of
from parfocal.engine.backends.native.step_work import NativeStepWork
from parfocal.engine.config import EngineConfig
from parfocal.engine.engine import Engine
from parfocal.engine.errors import EngineMisconfigured
from parfocal.engine.inbox import Inbox
from parfocal.engine.loading.base import ResidentBase
from parfocal.engine.lora import (
    ADAPTER_DTYPES,
    SLAB_SLOTS,
    AdapterLoader,
    AdapterSource,
    AdapterStore,
    LoraStore,
)
from parfocal.engine.memory.budget import MemoryTable
from parfocal.engine.memory.plan import plan_memory
from parfocal.engine.model.forward import Forward, ModelForward
from parfocal.engine.model.kv_cache import KvCache
from parfocal.engine.model.runner import Runner
from parfocal.engine.model.step_work import TorchStepWork
from parfocal.engine.observer import Observer, SilentObserver
from parfocal.engine.owner import Owner
from parfocal.engine.parts import Parts
from parfocal.engine.scheduling import Admission, BlockPool, Limits, Scheduler
from parfocal.engine.stopwatch import Stopwatch
from parfocal.engine.text import TextStream


def build_engine(
    base: ResidentBase,
    config: EngineConfig,
    source: AdapterSource,
    observer: Observer | None = None,
    memory: MemoryTable | None = None,
) -> Engine:
    """Returns an engine that serves `base` with adapters from `source`, in `memory` if it is planned already.

    Raises:
        EngineMisconfigured: the memory cannot hold the engine, or a count is below 1.
    """
    _check(config)
    observer = observer or SilentObserver()
    table = memory or plan_memory(base, config)
    blocks = table.kv_blocks
    pool = BlockPool(blocks, config.block_tokens)
    cache = KvCache(base.kv_shape, blocks, config.block_tokens, base.device)
    forward, store = _computing(base, config, cache, table.adapter_bytes, observer)
    inbox = Inbox()
    loader = AdapterLoader(source, store, inbox.post, config.load_threads, config.max_rank)
    tiers = Tiers(SlotTable(config.slots), HostTier(table.host_bytes), config.load_threads)
    owner = Owner()
    residency = SlotResidency(tiers, loader, observer, owner)
    limits = Limits(
        config.max_requests,
        config.max_batch_tokens,
        config.max_skips,
        frozenset(base.info.eos_ids),
        config.prefix_cache,
    )
    tokenizer: Tokenizer = base.tokenizer.backend_tokenizer
    return Engine(
        Parts(
            scheduler=Scheduler(limits, pool, residency),
            runner=Runner(forward, _cpu_threads(base), base.device),
            residency=residency,
            pool=pool,
            admission=Admission(base.info.context_tokens, blocks * config.block_tokens, base.info.vocabulary),
            inbox=inbox,
            observer=observer,
            text=lambda strings: TextStream(tokenizer, strings),
            close=loader.close,
            owner=owner,
            watch=Stopwatch(),
            max_waiting=config.max_waiting,
        )
    )


def _computing(
    base: ResidentBase, config: EngineConfig, cache: KvCache, adapter_bytes: int, observer: Observer
) -> tuple[Forward, AdapterStore]:
    """Returns what computes the steps, and where adapters lie for it."""
    if base.card is not None:
        # Not with the others: Triton, which they import, comes with torch's CUDA builds alone.
        from parfocal.engine.backends.cuda.assembly import DeviceMemory, cuda_parts
        from parfocal.engine.backends.cuda.fallback import reports_to

        memory = DeviceMemory(cache, adapter_bytes)
        parts = cuda_parts(base, config, memory, reports_to(observer), base.card)
        return parts.forward, parts.store
    store = LoraStore(base.shapes, base.adapter_dtype, base.device, min(SLAB_SLOTS, config.slots))
    return _forward(base, cache, store), store


def _forward(base: ResidentBase, cache: KvCache, store: LoraStore) -> Forward:
    if base.native is None:
        return ModelForward(base, TorchStepWork(cache, store.slabs, base.device))
    parts = parts_of(base.model)
    if parts is None:
        return ModelForward(base, NativeStepWork(base.native, cache, store))
    return NativeForward(base.native, base, parts, cache, store)


def _cpu_threads(base: ResidentBase) -> int:
    """The native kernels have threads of their own; torch's would only be in their way."""
    return 1 if base.native else torch.get_num_threads()


def _check(config: EngineConfig) -> None:
    if config.adapter_dtype not in ("auto", *ADAPTER_DTYPES):
        known = ", ".join(ADAPTER_DTYPES)
        raise EngineMisconfigured(f"adapter_dtype {config.adapter_dtype!r} is unknown; use auto, {known}")
    for name in (
        "slots",
        "max_rank",
        "max_requests",
        "max_waiting",
        "max_batch_tokens",
        "block_tokens",
        "load_threads",
    ):
        if getattr(config, name) < 1:
            raise EngineMisconfigured(f"{name} is {getattr(config, name)}; it must be at least 1")
