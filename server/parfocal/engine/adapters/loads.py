"""What loading threads report to the engine, as values: they know no slots and change no engine state."""

from concurrent.futures import Future
from dataclasses import dataclass

from parfocal.engine.adapters.host_tier import Staged
from parfocal.engine.adapters.slots import Place, SlotState
from parfocal.engine.request import AdapterKey


@dataclass(frozen=True, slots=True)
class Loaded:
    """A finished load: the adapter is at `place`; `seconds` holds the duration of each stage.

    `place` is None if the device had no memory for it. `staged` is the source of the copy, unless the host
    tier already held it.
    """

    place: Place | None
    rank: int
    size_bytes: int
    seconds: dict[str, float]
    staged: Staged | None = None


@dataclass(frozen=True, slots=True)
class Prefetched:
    """A finished prefetch: the adapter is in host memory."""

    staged: Staged
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class LoadAdvanced:
    """An adapter has advanced one stage on its way to its slot."""

    adapter: AdapterKey
    state: SlotState


@dataclass(frozen=True, slots=True)
class LoadEnded:
    """The load of an adapter that has a slot has succeeded or failed."""

    adapter: AdapterKey
    result: Future[Loaded]


@dataclass(frozen=True, slots=True)
class PrefetchEnded:
    """A prefetch has succeeded or failed."""

    adapter: AdapterKey
    result: Future[Prefetched]
