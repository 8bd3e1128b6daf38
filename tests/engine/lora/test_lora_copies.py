"""While weights are on their way to the device, steps neither see half of them nor wait."""

import threading
import time
from collections.abc import Callable

import pytest
import torch

from fakes.engine.lora_weights import SHAPES, random_adapter
from parfocal.engine.lora.copies import PlainCopies
from parfocal.engine.lora.store import LoraStore

CPU = torch.device("cpu")
_LONG_S = 30.0


class Interrupted(PlainCopies):
    """Does something before memory is zeroed, and counts the bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[], object] = lambda: None
        self.zeroed_bytes = 0

    def zero(self, targets: list[torch.Tensor]) -> None:
        self.before()
        super().zero(targets)
        self.zeroed_bytes += sum(target.nbytes for target in targets)


def _store(copies: Interrupted) -> LoraStore:
    return LoraStore(SHAPES, torch.float64, CPU, slab_slots=4, copies=copies)


def test_a_step_sees_a_module_only_once_its_numbers_are_zero() -> None:
    copies, seen = Interrupted(), list[set[str]]()
    store = _store(copies)
    store.put(random_adapter(4, {"up"}))
    copies.before = lambda: seen.append(set(store.slabs[0].weights))
    store.put(random_adapter(4, {"down"}))

    assert seen == [{"up"}, {"up", "down"}], "the new module first, then the place's unused one"
    assert store.slabs[0].weights["down"].a[0].abs().max() == 0


def test_a_step_that_frees_a_place_does_not_wait_for_a_slab_that_grows() -> None:
    copies, growing, go_on = Interrupted(), threading.Event(), threading.Event()
    store = _store(copies)
    gone = store.put(random_adapter(4))

    def wait() -> None:
        growing.set()
        assert go_on.wait(_LONG_S)

    copies.before = wait
    load = threading.Thread(target=store.put, args=(random_adapter(64),))
    load.start()
    assert growing.wait(_LONG_S)
    store.free(gone)
    used = store.places_used
    go_on.set()
    load.join()

    assert used == 1


def test_adapters_that_are_loaded_at_once_make_their_slab_once() -> None:
    copies = Interrupted()
    store = _store(copies)

    def wait_for_the_other() -> None:
        give_up = time.monotonic() + _LONG_S
        while store.places_used < 2 and time.monotonic() < give_up:
            time.sleep(0.001)

    copies.before = wait_for_the_other
    loads = [threading.Thread(target=store.put, args=(random_adapter(4, seed=n),)) for n in range(2)]
    for load in loads:
        load.start()
    for load in loads:
        load.join()

    assert store.places_used == 2
    assert copies.zeroed_bytes == store.size_bytes


class Locking(PlainCopies):
    """Copies that would be faster from page-locked memory."""

    pinned = True


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16])
def test_what_has_a_size_of_its_own_is_not_page_locked(dtype: torch.dtype) -> None:
    """torch would round it up and keep it for another of the same size, which may never come."""
    laid = LoraStore(SHAPES, dtype, CPU, copies=Locking()).lay_out(random_adapter(5))
    parts = [part for pair in laid.modules.values() for part in pair.parts]

    assert not any(part.is_pinned() for part in parts)
    assert sum(part.nbytes for part in parts) == laid.size_bytes
