"""Which adapters are on the device or in host memory, who pins them, which are evicted first. No torch."""

from parfocal.engine.adapters.blends import MAX_BLENDED, blend
from parfocal.engine.adapters.host_tier import HostTier, Staged
from parfocal.engine.adapters.loads import LoadAdvanced, Loaded, LoadEnded, Prefetched, PrefetchEnded
from parfocal.engine.adapters.residency import SlotResidency, Tiers
from parfocal.engine.adapters.slots import Place, Slot, SlotState, SlotTable

__all__ = [
    "MAX_BLENDED",
    "HostTier",
    "LoadAdvanced",
    "LoadEnded",
    "Loaded",
    "Place",
    "PrefetchEnded",
    "Prefetched",
    "Slot",
    "SlotResidency",
    "SlotState",
    "SlotTable",
    "Staged",
    "Tiers",
    "blend",
]
