"""Loads adapters on its own threads: fetches the folder, reads and lays it out, copies it to the device.

The step thread never waits here. A load's result arrives in the engine's inbox.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

import torch

from parfocal.engine.adapter_folder import AdapterFolder
from parfocal.engine.adapters import (
    LoadAdvanced,
    Loaded,
    LoadEnded,
    Place,
    Prefetched,
    PrefetchEnded,
    SlotState,
    Staged,
)
from parfocal.engine.errors import NoRoom
from parfocal.engine.lora.adapter_files import LoraWeights, read_adapter
from parfocal.engine.lora.blending import blended
from parfocal.engine.request import AdapterKey

log = logging.getLogger(__name__)

CLOSING_SECONDS = 5.0


class AdapterSource(Protocol):
    """Provides an adapter's local folder and what its weights mean, fetching it first if need be."""

    def folder(self, adapter: AdapterKey) -> AdapterFolder:
        """Returns a folder in which every byte has just been verified. Blocks; raises domain errors.

        Is never asked for a blend, but for each of its parts.
        """


class AdapterStore(Protocol):
    """Holds adapters on the device. Its methods may be called on any thread."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, int]]:
        """(in_features, out_features) of each linear that may be adapted."""

    @property
    def read_dtype(self) -> torch.dtype:
        """The type in which `lay_out` wants an adapter's numbers."""

    def lay_out(self, weights: LoraWeights) -> Staged:
        """Returns the adapter in host memory, laid out as on the device."""

    # What `lay_out` returned; each store has a layout of its own.
    def copy_in(self, adapter: Any) -> Place:
        """Copies an adapter to a free place and returns it.

        On failure takes nothing: raises NoRoom if others hold the memory, and what the device raises.
        """

    def free(self, place: Place) -> None:
        """Frees the place for another adapter."""


class AdapterLoader:
    """Loads up to `threads` adapters at a time into a store and prefetches as many; reports each stage.

    `tell` is called on the loading threads, which change no engine state.

    Copies from host memory have a thread of their own: a copy of milliseconds never waits for a disk. Nor
    does the load of an adapter that has a slot wait for a prefetch. `close` waits up to `closing_seconds` for
    running loads.
    """

    def __init__(
        self,
        source: AdapterSource,
        store: AdapterStore,
        tell: Callable[[LoadAdvanced | LoadEnded | PrefetchEnded], None],
        threads: int,
        max_rank: int,
    ) -> None:
        self._source = source
        self._store = store
        self._tell = tell
        self._max_rank = max_rank
        self.closing_seconds = CLOSING_SECONDS
        self._loads, self._copies, self._prefetches = _pool(threads), _pool(1), _pool(threads)
        self._under_way: set[Future[Any]] = set()

    def start(self, adapter: AdapterKey, staged: Staged | None) -> None:
        """Begins to load an adapter, from host memory if it is `staged`."""
        if staged is None:
            future = self._loads.submit(self._load, adapter)
        else:
            future = self._copies.submit(self._load_staged, adapter, staged)
        self._follow(future)
        future.add_done_callback(lambda finished: self._tell(LoadEnded(adapter, finished)))

    def prefetch(self, adapter: AdapterKey) -> None:
        """Begins to read an adapter into host memory."""
        future = self._prefetches.submit(self._prefetch, adapter)
        self._follow(future)
        future.add_done_callback(lambda finished: self._tell(PrefetchEnded(adapter, finished)))

    def free(self, place: Place) -> None:
        """Frees the place for another adapter."""
        self._store.free(place)

    def close(self) -> None:
        """Starts no other loads and lets running ones finish, but leaves those that hang."""
        pools = (self._prefetches, self._loads, self._copies)
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        hanging = wait(tuple(self._under_way), self.closing_seconds).not_done
        if hanging:
            seconds = self.closing_seconds
            log.warning("%d adapters still load after %g s; leaving them", len(hanging), seconds)
            return
        for pool in pools:
            pool.shutdown(wait=True)

    def _follow(self, future: Future[Any]) -> None:
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)

    def _load(self, adapter: AdapterKey) -> Loaded:
        laid, seconds = self._staged(adapter, lambda: self._tell(LoadAdvanced(adapter, SlotState.STAGED)))
        loaded = self._load_staged(adapter, laid)
        return Loaded(loaded.place, loaded.rank, loaded.size_bytes, seconds | loaded.seconds, laid)

    def _prefetch(self, adapter: AdapterKey) -> Prefetched:
        return Prefetched(*self._staged(adapter, lambda: None))

    @torch.inference_mode()
    def _staged(self, adapter: AdapterKey, fetched: Callable[[], None]) -> tuple[Staged, dict[str, float]]:
        begun = time.monotonic()
        folders = [self._source.folder(part) for part, _ in adapter.parts or ((adapter, 1.0),)]
        read = time.monotonic()
        fetched()
        laid = self._store.lay_out(self._read(adapter, folders))
        return laid, {"fetch": read - begun, "stage": time.monotonic() - read}

    def _read(self, adapter: AdapterKey, folders: Sequence[AdapterFolder]) -> LoraWeights:
        """The adapter's weights, or those of a blend of adapters, each in its folder."""
        shapes, dtype, most = self._store.shapes, self._store.read_dtype, self._max_rank
        if not adapter.parts:
            return read_adapter(folders[0], adapter.digest, shapes, dtype, most)
        # Rounded once, when they are blended.
        parts = [
            (read_adapter(folder, part.digest, shapes, torch.float32, most), weight)
            for folder, (part, weight) in zip(folders, adapter.parts, strict=True)
        ]
        return blended(parts, adapter.digest, dtype, most)

    @torch.inference_mode()
    def _load_staged(self, adapter: AdapterKey, laid: Staged) -> Loaded:
        self._tell(LoadAdvanced(adapter, SlotState.LOADING))
        begun = time.monotonic()
        try:
            place = self._store.copy_in(laid)
        except NoRoom:
            place = None
        return Loaded(place, laid.rank, laid.size_bytes, {"copy": time.monotonic() - begun})


def _pool(threads: int) -> ThreadPoolExecutor:
    # One CPU each; `cpu_threads` says why.
    return ThreadPoolExecutor(threads, "parfocal-load", torch.set_num_threads, (1,))
