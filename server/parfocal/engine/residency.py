"""Which adapters are on the device.

Joins the slot table with the loader. Lives on the engine's thread; never waits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from .errors import AdapterUnavailable
from .observer import AdapterReport, Observer
from .plan import Place
from .request import AdapterKey
from .slots import Slot, SlotState, SlotTable


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load's end: the adapter lies at `place`; `seconds` tells how long each stage took."""

    place: Place
    rank: int
    size_bytes: int
    seconds: dict[str, float]


class Loader(Protocol):
    """Moves adapters between their folders and the device, on its own threads."""

    def start(self, slot: Slot) -> None:
        """Begins to load the slot's adapter; the result is delivered to the engine's inbox."""

    def free(self, place: Place) -> None:
        """Makes a place on the device available again."""


class SlotResidency:
    """The scheduler's view of the slots: reserve, release, and take in what the loader reports."""

    def __init__(self, table: SlotTable, loader: Loader, observer: Observer) -> None:
        self._table = table
        self._loader = loader
        self._observer = observer

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._table)

    def reserve(self, adapter: AdapterKey) -> Slot | None:
        """Returns the adapter's slot with a pin taken; None while every slot is pinned or on its way."""
        slot = self._table.find(adapter.digest)
        if slot is None:
            slot = self._open(adapter)
        elif slot.state in (SlotState.FAILED, SlotState.DRAINING):
            return None
        else:
            self._report("hit" if slot.state is SlotState.READY else "wait", slot)
        if slot is not None:
            self._table.pin(slot)
        return slot

    def release(self, slot: Slot) -> None:
        """Gives a pin back; a failed slot goes with its last pin, so that the next request tries again."""
        if self._table.unpin(slot):
            self._remove(slot)

    def loaded(self, slot: Slot, result: Loaded) -> None:
        """Makes the slot ready."""
        slot.state = SlotState.READY
        slot.place, slot.rank, slot.size_bytes = result.place, result.rank, result.size_bytes
        self._observer.adapter(AdapterReport("loaded", slot.adapter, result.seconds, result.size_bytes))

    def failed(self, slot: Slot, error: BaseException) -> Exception:
        """Marks the slot as failed and returns the error that its requests end with."""
        slot.state = SlotState.FAILED
        slot.error = _refusal(slot.adapter, error)
        self._observer.adapter(AdapterReport("failed", slot.adapter, {}, detail=str(slot.error)))
        if slot.pins == 0:
            self._remove(slot)
        return slot.error

    def evict(self, slot: Slot, reason: str) -> None:
        """Takes an unpinned adapter off the device."""
        self._observer.adapter(AdapterReport("evicted", slot.adapter, {}, slot.size_bytes, reason))
        self._remove(slot)

    def _open(self, adapter: AdapterKey) -> Slot | None:
        victim = self._table.victim()
        if victim is not None:
            self.evict(victim, "capacity")
        if not self._table.can_open():
            return None
        slot = self._table.open(adapter)
        self._report("miss", slot)
        self._loader.start(slot)
        return slot

    def _remove(self, slot: Slot) -> None:
        self._table.remove(slot)
        if slot.place is not None:
            self._loader.free(slot.place)

    def _report(self, event: str, slot: Slot) -> None:
        self._observer.adapter(AdapterReport(event, slot.adapter, {}, slot.size_bytes))


def _refusal(adapter: AdapterKey, error: BaseException) -> Exception:
    if isinstance(error, Exception) and hasattr(error, "status") and hasattr(error, "reason"):
        return error
    return AdapterUnavailable(
        f"adapter {adapter.name or adapter.digest} could not be loaded: {error}; "
        "check that its files can be read, then send the request again",
        digest=adapter.digest,
    )
