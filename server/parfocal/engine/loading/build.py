"""Builds an engine from a resident base, settings and a source of adapters."""

from functools import partial

from tokenizers import Tokenizer

from parfocal.engine.adapters import HostTier, SlotResidency, SlotTable, Tiers
from parfocal.engine.config import EngineConfig
from parfocal.engine.engine import Engine
from parfocal.engine.inbox import Inbox
from parfocal.engine.loading.memory_plan import plan_memory
from parfocal.engine.lora import AdapterLoader, AdapterSource
from parfocal.engine.memory import MemoryTable
from parfocal.engine.model import KvCache, PromptReader, ResidentBase, Runner, StepMemory
from parfocal.engine.observer import Observer, SilentObserver
from parfocal.engine.owner import Owner
from parfocal.engine.parts import Parts
from parfocal.engine.sampling import Sampler
from parfocal.engine.scheduling import Admission, BlockPool, Limits, Scheduler
from parfocal.engine.text import TextStream


def build_engine(
    base: ResidentBase,
    config: EngineConfig,
    source: AdapterSource,
    observer: Observer | None = None,
    memory: MemoryTable | None = None,
) -> Engine:
    """An engine that serves `base` with adapters from `source`, in `memory` if already planned.

    Raises:
        EngineMisconfigured: the memory cannot hold the engine.
    """
    observer = observer or SilentObserver()
    table = memory or plan_memory(base, config)
    blocks = table.kv_blocks
    pool = BlockPool(blocks, config.block_tokens)
    cache = KvCache(base.kv_shape, blocks, config.block_tokens, base.device)
    computing = base.backend.computing(base, config, StepMemory(cache, table.adapter_bytes), observer)
    inbox = Inbox()
    loader = AdapterLoader(source, computing.store, inbox.post, config.load_threads, config.max_rank)
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
    alone = config.deterministic
    sampler = Sampler(
        row_by_row=alone, likeliest=computing.likeliest, draws=computing.draws, bends=computing.bends
    )
    # As many logits as a step of the most rows draws from: the workspace holds those.
    reader = PromptReader(computing.forward, config.max_requests, row_by_row=alone)
    tokenizer: Tokenizer = base.tokenizer.backend_tokenizer
    return Engine(
        Parts(
            scheduler=Scheduler(limits, pool, residency),
            runner=Runner(computing.forward, base.backend, sampler, reader, computing.ahead),
            residency=residency,
            pool=pool,
            admission=Admission(base.info.context_tokens, blocks * config.block_tokens, base.info.vocabulary),
            inbox=inbox,
            observer=observer,
            text=partial(TextStream, tokenizer),
            close=loader.close,
            owner=owner,
            watch=base.backend.watch,
            max_waiting=config.max_waiting,
        )
    )
