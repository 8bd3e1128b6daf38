"""What loading threads tell the engine, as values: they know no slot and change no state of its."""

from concurrent.futures import Future
from dataclasses import dataclass

from parfocal.engine.adapters.host_tier import Staged
from parfocal.engine.adapters.slots import Place, SlotState
from parfocal.engine.request import AdapterKey


@dataclass(frozen=True, slots=True)
class Loaded:
    """A load's end: the adapter lies at `place`; `seconds` tells how long each stage took.

    Without a place there was no memory for it. `staged` is what was to be copied, if it was not in the host
    tier before.
    """

    place: Place | None
    rank: int
    size_bytes: int
    seconds: dict[str, float]
    staged: Staged | None = None


@dataclass(frozen=True, slots=True)
class Prefetched:
    """A prefetch's end: the adapter is in host memory."""

    staged: Staged
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class LoadAdvanced:
    """A loading thread has brought an adapter one stage further on its way to its slot."""

    adapter: AdapterKey
    state: SlotState


@dataclass(frozen=True, slots=True)
class LoadEnded:
    """A loading thread has finished with an adapter that has a slot, well or badly."""

    adapter: AdapterKey
    result: Future[Loaded]


@dataclass(frozen=True, slots=True)
class PrefetchEnded:
    """A loading thread has finished reading an adapter ahead, well or badly."""

    adapter: AdapterKey
    result: Future[Prefetched]
