"""One budget of bytes for base, adapters, KV cache and steps. Pure arithmetic: no torch."""

from parfocal.engine.memory.budget import (
    Budget,
    DeviceNeeds,
    HostCache,
    KvNeeds,
    MemoryTable,
    Needs,
    Workspace,
    divide,
    with_kv_cache,
)

__all__ = [
    "Budget",
    "DeviceNeeds",
    "HostCache",
    "KvNeeds",
    "MemoryTable",
    "Needs",
    "Workspace",
    "divide",
    "with_kv_cache",
]
