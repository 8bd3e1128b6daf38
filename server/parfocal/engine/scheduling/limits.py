"""What the scheduler may hand out, and whom it asks for slots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from parfocal.engine.adapters import Slot
from parfocal.engine.request import AdapterKey


class Residency(Protocol):
    """Brings adapters to the device on request."""

    def reserve(self, adapter: AdapterKey, *, again: bool = False) -> Slot | None:
        """Returns the adapter's slot, pinned, loading it if need be; None while all slots are pinned.

        A request that asks `again` is not counted again.
        """

    def release(self, slot: Slot) -> None:
        """Gives the pin back."""

    def want(self, adapters: Sequence[AdapterKey]) -> None:
        """Takes in at every step whose requests wait for a slot, the longest waiting first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one step and the engine as a whole may hold."""

    max_requests: int
    max_batch_tokens: int
    max_skips: int
    eos_ids: frozenset[int]
    prefix_cache: bool = True
