"""The scheduler's limits, and what it asks for slots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from parfocal.engine.adapters import Slot
from parfocal.engine.request import AdapterKey


class Residency(Protocol):
    """Brings adapters to the device on request."""

    def reserve(self, adapter: AdapterKey, *, again: bool = False) -> Slot | None:
        """Pins and returns the adapter's slot, loading it if need be; None while all slots are pinned.

        A request that asks `again` is not counted again.
        """

    def release(self, slot: Slot) -> None:
        """Releases the pin."""

    def want(self, adapters: Sequence[AdapterKey]) -> None:
        """Records, each step, the adapters that requests are waiting for, oldest first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one step and the engine as a whole may hold."""

    max_requests: int
    max_batch_tokens: int
    max_skips: int
    eos_ids: frozenset[int]
    prefix_cache: bool = True
