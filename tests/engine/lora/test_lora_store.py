"""Adapters on the device keep their own weights, take no place twice, and give their memory back."""

import threading
from collections.abc import Iterator, Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fakes.engine.lora_weights import SHAPES, added, random_adapter
from parfocal.engine.adapters.slots import Place
from parfocal.engine.lora.adapter_files import LoraWeights
from parfocal.engine.lora.batch import LoraBatch
from parfocal.engine.lora.store import LoraStore
from parfocal.engine.scheduling.plan import Segment

CPU = torch.device("cpu")
# A model's layers: many modules of few shapes.
LAYERS = {f"{number}.{path}": shape for path, shape in SHAPES.items() for number in range(3)}


def new_store(slots: int = 3, shapes: Mapping[str, tuple[int, int]] = SHAPES) -> LoraStore:
    return LoraStore(shapes, torch.float64, CPU, slab_slots=slots)


def added_by_store(store: LoraStore, place: Place, path: str, x: torch.Tensor) -> torch.Tensor:
    """Returns what the adapter at `place` adds for the one token `x` `[in]`."""
    y = torch.zeros(1, SHAPES[path][1], dtype=x.dtype)
    LoraBatch([Segment(place, 0, 1)], store.slabs, CPU).add_to(y, x[None], path)
    return y[0]


def check_content(store: LoraStore, place: Place, weights: LoraWeights) -> None:
    for path, (wide, _) in SHAPES.items():
        x = torch.linspace(-1.0, 1.0, wide, dtype=torch.float64)
        torch.testing.assert_close(added_by_store(store, place, path, x), added(weights, path, x))


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.sampled_from([1, 4, 5, 16]), st.frozensets(st.sampled_from(sorted(SHAPES)), min_size=1)
            ),
            st.integers(0, 50),
        ),
        max_size=30,
    )
)
def test_places_are_never_doubled_and_keep_their_own_weights(
    plan: list[tuple[int, frozenset[str]] | int],
) -> None:
    store, held = new_store(), dict[Place, LoraWeights]()
    for seed, step in enumerate(plan):
        if isinstance(step, tuple):
            weights = random_adapter(*step, seed=seed)
            place = store.put(weights)
            assert place not in held
            held[place] = weights
        elif held:
            gone = sorted(held)[step % len(held)]
            store.free(gone)
            del held[gone]

    assert store.places_used == len(held)
    assert {place.slab for place in held} == set(store.slabs), "an empty slab stays, or a full one went"
    for place, weights in held.items():
        check_content(store, place, weights)


def test_a_freed_place_is_used_again_and_keeps_nothing_of_its_last_adapter() -> None:
    store = new_store(slots=2)
    store.put(random_adapter(4, seed=1))
    place = store.put(random_adapter(4, seed=2))
    store.free(place)
    lesser = random_adapter(2, {"up"}, seed=3)

    assert store.put(lesser) == place
    check_content(store, place, lesser)


def test_a_full_slab_is_followed_by_another_of_the_same_rank() -> None:
    store = new_store(slots=2)
    places = [store.put(random_adapter(rank, seed=rank)) for rank in (3, 4, 2, 1, 5)]

    assert [place.slab for place in places] == [0, 0, 1, 1, 2]
    assert [store.slabs[number].rank for number in (0, 1, 2)] == [4, 4, 8]


def test_size_counts_whole_slabs_of_the_modules_that_are_adapted() -> None:
    store = new_store(slots=3)
    assert store.size_bytes == 0
    store.put(random_adapter(5, {"up"}))
    assert store.size_bytes == 8 * 3 * 8 * (6 + 9)
    store.put(random_adapter(8, {"up", "gate"}))
    assert store.size_bytes == 8 * 3 * 8 * (6 + 9 + 6 + 4)


def test_an_empty_slab_gives_its_memory_back() -> None:
    store = new_store()
    places = [store.put(random_adapter(4, seed=seed)) for seed in range(2)]
    for place in places:
        store.free(place)

    assert (store.size_bytes, store.places_used, store.slabs) == (0, 0, {})


def test_freeing_twice_is_a_programmers_mistake() -> None:
    store = new_store()
    place, _ = store.put(random_adapter(4)), store.put(random_adapter(4))
    store.free(place)

    with pytest.raises(AssertionError, match="freed twice"):
        store.free(place)


class FullDevice(Mapping[str, tuple[int, int]]):
    """Shapes of modules for which the device has no memory while `full`."""

    full = False

    def __getitem__(self, path: str) -> tuple[int, int]:
        if self.full:
            raise MemoryError("the device is full")
        return SHAPES[path]

    def __iter__(self) -> Iterator[str]:
        return iter(SHAPES)

    def __len__(self) -> int:
        return len(SHAPES)


def test_a_device_without_memory_costs_no_place() -> None:
    shapes = FullDevice()
    store = new_store(slots=2, shapes=shapes)
    kept = random_adapter(4, {"up"}, seed=1)
    place = store.put(kept)
    shapes.full = True
    for rank in (4, 16):
        with pytest.raises(MemoryError):
            store.put(random_adapter(rank))
    shapes.full = False

    assert store.places_used == 1
    assert store.put(random_adapter(4, seed=2)).slab == place.slab
    check_content(store, place, kept)


def test_threads_that_load_disturb_neither_each_other_nor_the_running_step() -> None:
    store, resident = new_store(slots=4), random_adapter(4, seed=999)
    place = store.put(resident)
    start, placed = threading.Barrier(5), dict[Place, LoraWeights]()

    def load(thread: int) -> None:
        start.wait()
        for number in range(12):
            modules = sorted(SHAPES)[: 1 + (thread + number) % 3]
            weights = random_adapter((2, 4, 8)[number % 3], modules, seed=100 * thread + number)
            placed[store.put(weights)] = weights
            passing = store.put(weights)
            store.free(passing)

    threads = [threading.Thread(target=load, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    start.wait()
    while any(thread.is_alive() for thread in threads):
        check_content(store, place, resident)

    assert len(placed) == 48, "a place was given to two adapters"
    assert store.places_used == 49
    for where, weights in placed.items():
        check_content(store, where, weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int16, torch.int8])
def test_an_adapter_that_was_laid_out_once_can_be_copied_in_again_and_again(dtype: torch.dtype) -> None:
    store = LoraStore(SHAPES, dtype, CPU, slab_slots=2)
    laid = store.lay_out(random_adapter(5, {"up", "down"}, seed=1))
    before = {path: [part.clone() for part in pair.parts] for path, pair in laid.modules.items()}
    for _ in range(3):
        store.put(random_adapter(6, seed=2))
        place = store.copy_in(laid)
        for path, parts in before.items():
            slot = [part[place.index] for part in store.slabs[place.slab].weights[path].parts]
            kept = [part[0] for part in laid.modules[path].parts]
            for there, here, then in zip(slot, kept, parts, strict=True):
                assert torch.equal(there, here)
                assert torch.equal(here, then[0])
                assert there.data_ptr() != here.data_ptr()

    assert laid.rank == 5
    assert laid.size_bytes == sum(part.nbytes for parts in before.values() for part in parts)


@given(
    st.lists(
        st.tuples(st.sampled_from([3, 4]), st.frozensets(st.sampled_from(sorted(LAYERS)), min_size=1)),
        min_size=1,
        max_size=6,
    )
)
def test_modules_that_are_copied_together_keep_their_own_numbers(
    plan: list[tuple[int, frozenset[str]]],
) -> None:
    store = LoraStore(LAYERS, torch.int16, CPU, slab_slots=3)
    held = {}
    for seed, (rank, paths) in enumerate(plan):
        laid = store.lay_out(random_adapter(rank, paths, seed, LAYERS))
        held[store.copy_in(laid)] = laid
        whole = store.lay_out(random_adapter(rank, LAYERS, seed, LAYERS))
        store.free(store.copy_in(whole))

    for place, laid in held.items():
        for path, pair in store.slabs[place.slab].weights.items():
            slot = [part[place.index] for part in pair.parts]
            if path not in laid.modules:
                assert not any(part.any() for part in slot)
                continue
            for there, here in zip(slot, laid.modules[path].parts, strict=True):
                assert torch.equal(there, here[0])
