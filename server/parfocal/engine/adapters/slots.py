"""Slots: which adapters are on the device, coming or going, and who pins them.

No torch, no threads, no files.

    ABSENT → FETCHING → STAGED → LOADING → READY → (evicted) ABSENT
                 └──────────┴───────┤→ FAILED ──→ ABSENT once nobody pins it
                                    └→ NO_ROOM ─→ ABSENT once nobody pins it; its requests wait for a slot

Only the thread that steps the engine touches the table and its slots, which `SlotResidency` asserts; loading
threads know neither and report through the engine's inbox.
"""

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from parfocal.engine.adapters.eviction import Ageing, Use, worth
from parfocal.engine.request import AdapterKey


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an adapter's weights lie on the device: slot `index` of the slab with id `slab`."""

    slab: int
    index: int


class SlotState(enum.Enum):
    """How far an adapter is on its way to the device."""

    FETCHING = "fetching"
    STAGED = "staged"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"  # the adapter cannot be loaded: its requests end in an error
    NO_ROOM = "no_room"  # the device's memory was held by others: its requests wait for a slot again


@dataclass(slots=True, eq=False)
class Slot:
    """One adapter's place on the device. A pin forbids eviction; `is_pinned`: one of them is there for good.

    `seconds` tells how long each stage of its load took; `turn` how many requests have started on it ahead of
    older ones that had no slot.
    """

    adapter: AdapterKey
    state: SlotState = SlotState.FETCHING
    place: Place | None = None
    rank: int = 0
    size_bytes: int = 0
    pins: int = 0
    turn: int = 0
    is_pinned: bool = False
    use: Use = field(default_factory=Use)
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_lost(self) -> bool:
        """Whether the slot will never be ready and goes with its last pin."""
        return self.state in (SlotState.FAILED, SlotState.NO_ROOM)


class SlotTable:
    """At most `capacity` adapters; the unpinned one that is worth least leaves first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._slots: dict[str, Slot] = {}
        self._ageing = Ageing()

    def __iter__(self) -> Iterator[Slot]:
        return iter(tuple(self._slots.values()))

    def __len__(self) -> int:
        return len(self._slots)

    def find(self, digest: str) -> Slot | None:
        """Returns the adapter's slot, whatever its state."""
        return self._slots.get(digest)

    def victim(self, cost: Callable[[Slot], float], *, must: bool = False) -> Slot | None:
        """Returns the slot that leaves before the next `open`, or None if none may or need leave.

        One `must` leave although there are slots left, if the device's memory is full. `cost` is that of
        bringing an adapter back.
        """
        if len(self._slots) < self.capacity and not must:
            return None
        idle = [slot for slot in self if slot.pins == 0 and slot.state is SlotState.READY]
        worths = {slot: worth(slot.use, cost(slot), slot.size_bytes) for slot in idle}
        victim = min(idle, key=worths.__getitem__, default=None)
        if victim is not None:
            self._ageing.leaves(worths[victim][0])
        return victim

    def can_open(self) -> bool:
        """Whether a further adapter may come in now."""
        return len(self._slots) < self.capacity

    def open(self, adapter: AdapterKey) -> Slot:
        """Returns a new slot for an adapter that is not in the table. The caller has asked `can_open`."""
        assert self.can_open() and adapter.digest not in self._slots
        slot = self._slots[adapter.digest] = Slot(adapter)
        return slot

    def pin(self, slot: Slot) -> None:
        """Forbids the slot's eviction until the matching `unpin`."""
        slot.pins += 1

    def unpin(self, slot: Slot) -> bool:
        """Gives one pin back; returns True if a lost slot thereby became removable."""
        assert slot.pins > 0, f"slot of {slot.adapter.digest} was unpinned twice"
        slot.pins -= 1
        self._ageing.use(slot.use)
        return slot.pins == 0 and slot.is_lost

    def remove(self, slot: Slot) -> None:
        """Forgets an unpinned slot."""
        assert slot.pins == 0, f"slot of {slot.adapter.digest} is pinned"
        del self._slots[slot.adapter.digest]
