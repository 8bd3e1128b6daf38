"""Finds what the parts of an engine need, and divides the device's memory between them."""

from dataclasses import replace

import torch

from parfocal.engine.backends.cuda.lora.page_store import StoreShape
from parfocal.engine.config import EngineConfig
from parfocal.engine.errors import EngineMisconfigured
from parfocal.engine.loading.base import ResidentBase
from parfocal.engine.lora import SLAB_SLOTS, adapter_bytes_at_worst, slab_sizes
from parfocal.engine.memory.budget import (
    Budget,
    HostCache,
    KvNeeds,
    MemoryTable,
    Needs,
    divide,
    with_kv_cache,
)
from parfocal.engine.memory.device_memory import reachable_bytes, total_bytes
from parfocal.engine.memory.workspace import WorkspaceMeasure, at_most

# A GPU is the server's own; a machine's memory is not: the system, Python and its libraries, and the
# adapters on their way to their places live there too.
_GPU_PART = 0.9
_MACHINE_PART = 0.5
_HOST_PART = 1 / 8
_ADAPTER_PART = 1 / 3


def plan_memory(
    base: ResidentBase, config: EngineConfig, measure: WorkspaceMeasure | None = None
) -> MemoryTable:
    """Returns how the memory of the base's device is divided; `measure` is the device's own if it is None.

    Raises:
        EngineMisconfigured: the parts do not fit, or a size that was stated is none.
    """
    if config.host_cache_bytes is not None and config.host_cache_bytes < 0:
        raise EngineMisconfigured(f"host_cache_bytes is {config.host_cache_bytes}; it must not be negative")
    needs = _needs(base, config, measure or _measure_of(base))
    if config.kv_cache_bytes is None:
        return divide(needs, _budget(base.device, config))
    stated = config.memory_bytes is not None or config.memory_fraction is not None
    return with_kv_cache(needs, config.kv_cache_bytes, _budget(base.device, config) if stated else None)


def _needs(base: ResidentBase, config: EngineConfig, measure: WorkspaceMeasure) -> Needs:
    context, size = base.info.context_tokens, config.block_tokens
    adapter_bytes = _adapter_bytes(base, config)
    return Needs(
        base_bytes=base.info.memory_bytes,
        adapter_bytes=adapter_bytes,
        adapters=f"{config.slots} slots of ranks up to {config.max_rank}",
        kv=KvNeeds(
            block_tokens=size,
            block_bytes=base.kv_shape.token_bytes * size,
            context_tokens=context,
            most_blocks=config.max_requests * -(-context // size),
        ),
        workspace=measure(base, config),
        host=_host_cache(base, config, adapter_bytes),
        graph_bytes=_graph_bytes(base, config),
    )


def _adapter_bytes(base: ResidentBase, config: EngineConfig) -> int:
    if base.card is not None:
        return _page_bytes(base, config)
    if config.adapter_bytes is not None:
        raise EngineMisconfigured(
            f"adapter_bytes is for CUDA with its kernels; leave it out on {base.device}"
        )
    slabs = slab_sizes(base.shapes, base.adapter_dtype, config.max_rank, min(SLAB_SLOTS, config.slots))
    return adapter_bytes_at_worst(slabs, config.slots)


def _page_bytes(base: ResidentBase, config: EngineConfig) -> int:
    """Returns the bytes of all pages for adapters: as stated, or every slot's, up to a part of the rest."""
    shape = StoreShape(base.shapes, base.adapter_dtype, config.max_rank, base.device)
    largest = shape.most_pages * shape.page_bytes
    if config.adapter_bytes is not None:
        if config.adapter_bytes < largest:
            raise EngineMisconfigured(
                f"adapter_bytes {config.adapter_bytes} cannot hold one adapter of rank {config.max_rank} on "
                f"all linears, which takes {largest}; raise it or lower max_rank"
            )
        return config.adapter_bytes // shape.page_bytes * shape.page_bytes
    part = int(_ADAPTER_PART * (_budget(base.device, config).size_bytes - base.info.memory_bytes))
    return min(config.slots * largest, max(largest, part // shape.page_bytes * shape.page_bytes))


def _graph_bytes(base: ResidentBase, config: EngineConfig) -> int:
    """Returns a bound on what captured steps keep: all share the memory of the largest decode step."""
    if base.card is None:
        return 0
    return at_most(base, replace(config, max_batch_tokens=config.max_requests)).fixed_bytes


def _measure_of(base: ResidentBase) -> WorkspaceMeasure:
    if base.card is None:
        return at_most
    # Not with the others: Triton, which it imports, comes with torch's CUDA builds alone.
    from parfocal.engine.backends.cuda.assembly import measured_workspace

    return measured_workspace(base.card)


def _host_cache(base: ResidentBase, config: EngineConfig, adapter_bytes: int) -> HostCache:
    within = base.device.type == "cpu"
    if config.host_cache_bytes is not None:
        return HostCache(config.host_cache_bytes, within)
    if not within:
        return HostCache(int(_HOST_PART * total_bytes(torch.device("cpu"))), within)
    left = _budget(base.device, config).size_bytes - base.info.memory_bytes - adapter_bytes
    return HostCache(max(0, int(_HOST_PART * left)), within)


def _budget(device: torch.device, config: EngineConfig) -> Budget:
    if config.memory_bytes is not None:
        if config.memory_bytes < 1:
            raise EngineMisconfigured(f"memory_bytes is {config.memory_bytes}; it must be at least 1")
        return Budget(config.memory_bytes, "memory_bytes")
    part = config.memory_fraction
    if part is None:
        part = _GPU_PART if device.type == "cuda" else _MACHINE_PART
    if not 0 < part <= 1:
        raise EngineMisconfigured(f"memory_fraction is {part}; it must be above 0 and at most 1")
    total = total_bytes(device)
    wanted, reachable = int(part * total), reachable_bytes(device)
    if reachable < wanted:
        return Budget(reachable, f"what others leave of the {total} bytes of {device}")
    return Budget(wanted, f"memory_fraction {part:g} of the {total} bytes of {device}")
