"""Which adapters are on the device and in host memory.

Joins the slot table and the host tier with the loader. Changed only by the thread that steps the engine;
never waits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from parfocal.engine.adapters.eviction import copy_cost, read_cost
from parfocal.engine.adapters.host_tier import HostEntry, HostTier, Staged
from parfocal.engine.adapters.loads import Loaded, Prefetched
from parfocal.engine.adapters.prefetch import Prefetches
from parfocal.engine.adapters.slots import Place, Slot, SlotState, SlotTable
from parfocal.engine.errors import AdapterUnavailable
from parfocal.engine.observer import AdapterReport, AdapterStatus, Observer
from parfocal.engine.owner import Owner
from parfocal.engine.request import AdapterKey


class Loader(Protocol):
    """Moves adapters between their folders, host memory and the device, on its own threads."""

    def start(self, adapter: AdapterKey, staged: Staged | None) -> None:
        """Begins to load an adapter that has a slot, from host memory if it is `staged`.

        Each stage and the result are delivered to the engine's inbox.
        """

    def prefetch(self, adapter: AdapterKey) -> None:
        """Begins to read an adapter into host memory; the result is delivered to the engine's inbox."""

    def free(self, place: Place) -> None:
        """Frees a place on the device."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """The tiers, and how many adapters may be read into host memory before they have a slot."""

    table: SlotTable
    host: HostTier
    prefetches: int


class SlotResidency:
    """The scheduler's view of the slots: reserves, releases, and handles the loader's reports."""

    def __init__(self, tiers: Tiers, loader: Loader, observer: Observer, owner: Owner | None = None) -> None:
        self._owner = owner or Owner()
        self._table = tiers.table
        self._host = tiers.host
        self._loader = loader
        self._observer = observer
        self._prefetches = Prefetches(tiers.host, loader.prefetch, tiers.prefetches)
        self._copying: dict[str, Slot] = {}
        # The last load did not fit the device's memory beside others, and none of these has left since.
        self._full = False
        # Slots whose adapter is already being prefetched.
        self._joined: dict[str, Slot] = {}

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._table)

    @property
    def copying(self) -> frozenset[str]:
        """The digests of adapters that are in host memory and are being copied to their slots."""
        return frozenset(self._copying)

    def reserve(self, adapter: AdapterKey, *, again: bool = False) -> Slot | None:
        """Pins and returns the adapter's slot; None while every slot is pinned or loading.

        A request that asks `again` is not counted again.
        """
        assert self._owner.is_here
        slot = self._table.find(adapter.digest)
        if not again:
            self._host.use(adapter.digest)
            self._report(_lookup(slot), adapter)
        if slot is None:
            slot = self._open(adapter)
        elif slot.is_lost:
            return None
        if slot is not None:
            self._table.pin(slot)
        return slot

    def pin(self, adapter: AdapterKey) -> None:
        """Keeps an adapter that has a slot on the device for good."""
        slot = self._table.find(adapter.digest)
        assert slot is not None and slot.state is SlotState.READY, "only a ready adapter can be pinned"
        if not slot.is_pinned:
            slot.is_pinned = True
            self._table.pin(slot)

    def release(self, slot: Slot) -> None:
        """Releases a pin; a lost slot goes with its last pin, so the next request tries again."""
        assert self._owner.is_here
        if self._table.unpin(slot):
            self._remove(slot)

    def want(self, adapters: Sequence[AdapterKey]) -> None:
        """Records the adapters that wait for a slot, longest wait first, and prefetches them."""
        if adapters or self._prefetches.wanted:
            self._prefetches.want(adapters, lambda digest: self._table.find(digest) is not None)

    def advanced(self, adapter: AdapterKey, state: SlotState) -> None:
        """Notes a load's progress."""
        self._coming(adapter).state = state

    def loaded(self, adapter: AdapterKey, result: Loaded) -> None:
        """Makes the adapter's slot ready; without a place for it, its requests wait for a slot again."""
        slot = self._arrived(adapter)
        if result.staged is not None:
            self._keep(HostEntry(adapter, result.staged, result.seconds))
        if result.place is None:
            # Those on their way count too: trying beside them again would find no more room.
            self._full = any(not other.is_lost for other in self._table if other is not slot)
            self._lose(slot, SlotState.NO_ROOM)
            return
        slot.state = SlotState.READY
        slot.place, slot.rank, slot.size_bytes = result.place, result.rank, result.size_bytes
        slot.seconds = result.seconds
        self._observer.adapter(AdapterReport("loaded", slot.adapter, result.seconds, result.size_bytes))

    def failed(self, adapter: AdapterKey, error: BaseException) -> Exception:
        """Marks the adapter's slot as failed and returns the error for its requests."""
        slot = self._arrived(adapter)
        refusal = _refusal(slot.adapter, error)
        self._observer.adapter(AdapterReport("failed", slot.adapter, {}, detail=str(refusal)))
        self._lose(slot, SlotState.FAILED)
        return refusal

    def prefetched(self, adapter: AdapterKey, result: Prefetched) -> None:
        """Keeps a prefetched adapter; a slot that waits for it is loaded now."""
        assert self._owner.is_here
        self._prefetches.ended(adapter.digest)
        self._observer.adapter(AdapterReport("staged", adapter, result.seconds, result.staged.size_bytes))
        if not self._keep(HostEntry(adapter, result.staged, result.seconds)):
            self._prefetches.in_vain(adapter.digest)
        if (slot := self._joined.pop(adapter.digest, None)) is not None:
            self._start(slot, result.staged)

    def prefetch_failed(self, adapter: AdapterKey, error: BaseException) -> Exception:
        """Returns the error for the requests that wait for the adapter."""
        assert self._owner.is_here
        self._prefetches.ended(adapter.digest)
        if self._joined.pop(adapter.digest, None) is not None:
            return self.failed(adapter, error)
        refusal = _refusal(adapter, error)
        self._observer.adapter(AdapterReport("failed", adapter, {}, detail=str(refusal)))
        return refusal

    def evict(self, slot: Slot, reason: str) -> None:
        """Evicts an unpinned adapter from the device."""
        assert self._owner.is_here
        self._observer.adapter(AdapterReport("evicted", slot.adapter, {}, slot.size_bytes, reason))
        self._remove(slot)

    def statuses(self) -> list[AdapterStatus]:
        """Returns every adapter once, in the fastest tier that holds it. May be called on any thread."""
        kept = {entry.adapter.digest: entry for entry in self._host}
        found = [_slot_status(slot, kept.pop(slot.adapter.digest, None)) for slot in self._table]
        found += [_host_status(entry) for entry in kept.values()]
        known = {status.adapter.digest for status in found}
        coming = [adapter for adapter in self._prefetches.under_way if adapter.digest not in known]
        return found + [AdapterStatus(adapter, "fetching", "host", 0, 0, 0) for adapter in coming]

    def _open(self, adapter: AdapterKey) -> Slot | None:
        victim = self._table.victim(self._cost, must=self._full)
        if victim is not None:
            self.evict(victim, "capacity")
        if self._full or not self._table.can_open():
            return None
        slot = self._table.open(adapter)
        if adapter.digest in self._prefetches:
            self._joined[adapter.digest] = slot
        else:
            entry = self._host.find(adapter.digest)
            self._start(slot, entry.content if entry else None)
        return slot

    def _start(self, slot: Slot, staged: Staged | None) -> None:
        if staged is not None:
            self._copying[slot.adapter.digest] = slot
            slot.state = SlotState.STAGED
        self._loader.start(slot.adapter, staged)

    def _coming(self, adapter: AdapterKey) -> Slot:
        """Returns the slot of an adapter that is loading: such a slot is never removed."""
        assert self._owner.is_here
        slot = self._table.find(adapter.digest)
        assert slot is not None, f"{adapter.digest} was loaded without a slot"
        return slot

    def _arrived(self, adapter: AdapterKey) -> Slot:
        self._copying.pop(adapter.digest, None)
        return self._coming(adapter)

    def _lose(self, slot: Slot, state: SlotState) -> None:
        slot.state = state
        if slot.pins == 0:
            self._remove(slot)

    def _cost(self, slot: Slot) -> float:
        cost = copy_cost if self._host.find(slot.adapter.digest) else read_cost
        return cost(slot.size_bytes)

    def _keep(self, entry: HostEntry) -> bool:
        self._prefetches.seen(entry.content.size_bytes)
        gone = self._host.keep(entry, self._prefetches.wanted | self._copying.keys())
        for each in gone or ():
            size_bytes = each.content.size_bytes
            self._observer.adapter(AdapterReport("evicted", each.adapter, {}, size_bytes, "host_capacity"))
        return gone is not None

    def _remove(self, slot: Slot) -> None:
        self._table.remove(slot)
        if slot.place is not None:
            self._loader.free(slot.place)
        # A load that failed may have held memory too.
        if slot.state is not SlotState.NO_ROOM or all(other.is_lost for other in self._table):
            self._full = False

    def _report(self, event: str, adapter: AdapterKey) -> None:
        self._observer.adapter(AdapterReport(event, adapter, {}))


def _lookup(slot: Slot | None) -> str:
    if slot is None or slot.is_lost:
        return "miss"
    return "hit" if slot.state is SlotState.READY else "wait"


def _slot_status(slot: Slot, kept: HostEntry | None) -> AdapterStatus:
    on_device = slot.state is SlotState.READY
    host_bytes = kept.content.size_bytes if kept else 0
    return AdapterStatus(
        slot.adapter,
        slot.state.value,
        "device" if on_device else "host",
        slot.rank or (kept.content.rank if kept else 0),
        slot.size_bytes if on_device else host_bytes,
        slot.pins - slot.is_pinned,
        host_bytes,
        slot.seconds,
        slot.is_pinned,
    )


def _host_status(entry: HostEntry) -> AdapterStatus:
    content, seconds = entry.content, entry.seconds
    size_bytes = content.size_bytes
    return AdapterStatus(entry.adapter, "staged", "host", content.rank, size_bytes, 0, size_bytes, seconds)


def _refusal(adapter: AdapterKey, error: BaseException) -> Exception:
    if isinstance(error, Exception) and hasattr(error, "status") and hasattr(error, "reason"):
        return error
    return AdapterUnavailable(
        f"adapter {adapter.name or adapter.digest} could not be loaded: {error}; "
        "check that its files can be read, then send the request again",
        digest=adapter.digest,
    )
