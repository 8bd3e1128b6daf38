"""Finds what an engine's parts need, and divides the device's memory among them."""

from parfocal.engine.config import EngineConfig
from parfocal.engine.devices import Device, machine_bytes
from parfocal.engine.memory import (
    Budget,
    HostCache,
    KvNeeds,
    MemoryTable,
    Needs,
    divide,
    with_kv_cache,
)
from parfocal.engine.model import ResidentBase

_HOST_SHARE = 1 / 8


def plan_memory(base: ResidentBase, config: EngineConfig) -> MemoryTable:
    """How the memory of the base's device is divided.

    Raises:
        EngineMisconfigured: the parts do not fit.
    """
    budget = _budget(base.backend.device, config)
    needs = _needs(base, config, budget)
    if config.kv_cache_bytes is None:
        return divide(needs, budget)
    stated = config.memory_bytes is not None or config.memory_fraction is not None
    return with_kv_cache(needs, config.kv_cache_bytes, budget if stated else None)


def _needs(base: ResidentBase, config: EngineConfig, budget: Budget) -> Needs:
    context, size = base.info.context_tokens, config.block_tokens
    room_bytes = budget.size_bytes - base.info.memory_bytes
    own = base.backend.needs(base, config, room_bytes)
    return Needs(
        base_bytes=base.info.memory_bytes,
        adapter_bytes=own.adapter_bytes,
        adapters=f"{config.slots} slots of ranks up to {config.max_rank}",
        kv=KvNeeds(
            block_tokens=size,
            block_bytes=base.kv_shape.token_bytes * size,
            context_tokens=context,
            most_blocks=config.max_requests * -(-context // size),
        ),
        workspace=own.workspace,
        host=_host_cache(base.backend.device, config, room_bytes - own.adapter_bytes),
        graph_bytes=own.graph_bytes,
    )


def _host_cache(device: Device, config: EngineConfig, left_bytes: int) -> HostCache:
    within = not device.overlaps
    if config.host_cache_bytes is not None:
        return HostCache(config.host_cache_bytes, within)
    return HostCache(int(_HOST_SHARE * max(0, left_bytes if within else machine_bytes())), within)


def _budget(device: Device, config: EngineConfig) -> Budget:
    if config.memory_bytes is not None:
        return Budget(config.memory_bytes, "memory_bytes")
    share = device.share if config.memory_fraction is None else config.memory_fraction
    total, reachable = device.total_bytes(), device.reachable_bytes()
    wanted = int(share * total)
    if reachable < wanted:
        return Budget(reachable, f"what others leave of the {total} bytes of {device.at}")
    return Budget(wanted, f"memory_fraction {share:g} of the {total} bytes of {device.at}")
