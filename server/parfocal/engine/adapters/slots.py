"""Slots: which adapters are on the device, loading or leaving, and who pins them.

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
    """An adapter's progress on its way to the device."""

    FETCHING = "fetching"
    STAGED = "staged"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"  # the adapter cannot be loaded: its requests end in an error
    NO_ROOM = "no_room"  # other adapters held the device's memory: its requests wait for a slot again


@dataclass(slots=True, eq=False)
class Slot:
    """One adapter's place on the device. A pin forbids eviction; `is_pinned` means for good.

    `seconds` holds the duration of each stage of its load; `turn` counts the requests that started on it
    ahead of older ones without a slot.
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
        """Whether the slot will never be ready and is removed when its last pin is released."""
        return self.state in (SlotState.FAILED, SlotState.NO_ROOM)


class SlotTable:
    """At most `capacity` adapters; evicts the unpinned one worth least first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._slots: dict[str, Slot] = {}
        self._ageing = Ageing()

    def __iter__(self) -> Iterator[Slot]:
        return iter(tuple(self._slots.values()))

    def __len__(self) -> int:
        return len(self._slots)

    def find(self, digest: str) -> Slot | None:
        """The adapter's slot, whatever its state."""
        return self._slots.get(digest)

    def victim(self, cost: Callable[[Slot], float], *, must: bool = False) -> Slot | None:
        """The slot to evict before the next `open`; None if none can or need be evicted.

        One `must` be evicted even with slots left if the device's memory is full. `cost` is what it takes to
        load an adapter again.
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
        """Whether another adapter can have a slot now."""
        return len(self._slots) < self.capacity

    def open(self, adapter: AdapterKey) -> Slot:
        """A new slot for an adapter that is not in the table. Check `can_open` first."""
        assert self.can_open() and adapter.digest not in self._slots
        slot = self._slots[adapter.digest] = Slot(adapter)
        return slot

    def pin(self, slot: Slot) -> None:
        """Forbids the slot's eviction until the matching `unpin`."""
        slot.pins += 1

    def unpin(self, slot: Slot) -> bool:
        """Releases one pin; returns True if that makes a lost slot removable."""
        assert slot.pins > 0, f"slot of {slot.adapter.digest} was unpinned twice"
        slot.pins -= 1
        self._ageing.use(slot.use)
        return slot.pins == 0 and slot.is_lost

    def remove(self, slot: Slot) -> None:
        """Forgets an unpinned slot."""
        assert slot.pins == 0, f"slot of {slot.adapter.digest} is pinned"
        del self._slots[slot.adapter.digest]
