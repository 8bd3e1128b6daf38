"""Loads adapters on its own threads: fetch the folder, read and check it, copy it to the device.

The step thread never waits here. What becomes of a load arrives in the engine's inbox.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import torch

from .adapter_files import read_adapter
from .lora_store import LoraStore
from .plan import Place
from .request import AdapterKey
from .residency import Loaded
from .slots import Slot, SlotState


class AdapterSource(Protocol):
    """Gives the local folder of an adapter, fetching it first if need be."""

    def folder(self, adapter: AdapterKey) -> Path:
        """Returns a folder whose every byte has just been verified. Blocks; raises domain errors."""


class AdapterLoader:
    """Loads at most `threads` adapters at a time into a store; reports to `done(slot, future)`."""

    def __init__(
        self,
        source: AdapterSource,
        store: LoraStore,
        done: Callable[[Slot, Future[Loaded]], None],
        threads: int,
        max_rank: int,
    ) -> None:
        self._source = source
        self._store = store
        self._done = done
        self._max_rank = max_rank
        # One CPU each: `cpu_threads` says why.
        self._pool = ThreadPoolExecutor(threads, "parfocal-load", torch.set_num_threads, (1,))

    def start(self, slot: Slot) -> None:
        """Begins to load the slot's adapter."""
        future = self._pool.submit(self._load, slot)
        future.add_done_callback(lambda finished: self._done(slot, finished))

    def free(self, place: Place) -> None:
        """Makes the place available for another adapter."""
        self._store.free(place)

    def close(self) -> None:
        """Lets running loads end and starts no others."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    @torch.inference_mode()
    def _load(self, slot: Slot) -> Loaded:
        begun = time.monotonic()
        folder = self._source.folder(slot.adapter)
        fetched = time.monotonic()
        slot.state = SlotState.STAGED
        store = self._store
        weights = read_adapter(folder, slot.adapter.digest, store.shapes, store.read_dtype, self._max_rank)
        staged = time.monotonic()
        slot.state = SlotState.LOADING
        place = store.put(weights)
        copied = time.monotonic()
        seconds = {"fetch": fetched - begun, "stage": staged - fetched, "copy": copied - staged}
        return Loaded(place, weights.rank, weights.size_bytes, seconds)
