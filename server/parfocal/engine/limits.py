"""What the scheduler may hand out, and whom it asks for slots."""

from dataclasses import dataclass
from typing import Protocol

from .request import AdapterKey
from .slots import Slot


class Residency(Protocol):
    """Brings adapters to the device on request."""

    def reserve(self, adapter: AdapterKey) -> Slot | None:
        """Returns the adapter's slot, pinned, loading it if need be; None while all slots are pinned."""

    def release(self, slot: Slot) -> None:
        """Gives the pin back."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one step and the engine as a whole may hold."""

    max_requests: int
    max_batch_tokens: int
    max_skips: int
    eos_ids: frozenset[int]
    prefix_cache: bool = True
