"""Adapters in pages: what comes out is what went in, and thousands of swaps leave nothing behind."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal.engine import EngineMisconfigured
from parfocal.engine.adapters.slots import Place
from parfocal.engine.backends.cuda.lora.page_store import (
    FIELDS,
    UNIT,
    PagedAdapter,
    PageStore,
    Room,
    StoreShape,
)
from parfocal.engine.lora.adapter_files import LoraWeights, ModuleWeights
from parfocal.engine.lora.copies import PlainCopies

CPU = torch.device("cpu")
# A layer's linears in the proportions of Llama 3 8B, each a sixteenth.
LAYER = {"q": (256, 256), "k": (256, 64), "v": (256, 64), "o": (256, 256)}
LAYER |= {"gate": (256, 896), "up": (256, 896), "down": (896, 256)}


def adapter(name: str, ranks: dict[str, int], dtype: torch.dtype = torch.float32) -> LoraWeights:
    draw = torch.Generator().manual_seed(sum(name.encode()))
    modules = {
        path: ModuleWeights(
            torch.randn(rank, LAYER[path][0], generator=draw).to(dtype),
            torch.randn(LAYER[path][1], rank, generator=draw).to(dtype),
        )
        for path, rank in ranks.items()
    }
    return LoraWeights(name, modules)


def new_store(dtype: torch.dtype = torch.float32, slots: int = 4, max_rank: int = 64) -> PageStore:
    shape = StoreShape(LAYER, dtype, max_rank, CPU)
    return PageStore(list(LAYER), shape, room_for(slots, shape), PlainCopies())


def room_for(slots: int, shape: StoreShape) -> Room:
    return Room(slots, slots * shape.most_pages * shape.page_bytes)


def read(store: PageStore, place: Place, path: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns A and B as kernels find them: through the table, in units from the pool's beginning."""
    (wide, tall), entry = LAYER[path], store.table[place.index, store.order[path]].tolist()
    rank = entry[FIELDS - 1]
    filled = -(-rank // 8) * 8
    a = store.weights[entry[0] * UNIT :][: rank * wide].view(rank, wide)
    b = store.weights[entry[1] * UNIT :][: tall * filled].view(tall, filled)[:, :rank]
    if store.dtype.is_floating_point:
        return a, b
    a_scale = store.scales[entry[2] * UNIT :][:rank]
    b_scale = store.scales[entry[3] * UNIT :][:tall]
    return a * a_scale[:, None], b * b_scale[:, None]


ranks = st.dictionaries(st.sampled_from(list(LAYER)), st.integers(1, 64), min_size=1)


@settings(max_examples=30)
@given(st.lists(ranks, min_size=1, max_size=4), st.sampled_from([torch.float32, torch.bfloat16, torch.int8]))
def test_what_kernels_find_is_what_was_read(given_ranks: list[dict[str, int]], dtype: torch.dtype) -> None:
    store = new_store(dtype)
    stored = torch.float32 if dtype is torch.int8 else dtype
    adapters = [adapter(f"n{number}", one, stored) for number, one in enumerate(given_ranks)]
    places = [store.copy_in(store.lay_out(one)) for one in adapters]

    assert len(set(places)) == len(places) == store.places_used
    for one, place in zip(adapters, places, strict=True):
        for path in LAYER:
            if path not in one.modules:
                assert store.table[place.index, store.order[path], FIELDS - 1] == 0
                continue
            a, b = read(store, place, path)
            tolerance = 0.02 if dtype is torch.int8 else 0.0
            assert torch.allclose(a, one.modules[path].a, rtol=0, atol=tolerance)
            assert torch.allclose(b, one.modules[path].b, rtol=0, atol=tolerance)


@settings(max_examples=30)
@given(ranks)
def test_no_adapter_takes_more_than_one_of_the_highest_rank_everywhere(some: dict[str, int]) -> None:
    shape = StoreShape(LAYER, torch.float32, 64, CPU)
    laid = new_store().lay_out(adapter("any", some))

    assert len(laid.pages) <= shape.most_pages
    real = sum(rank * sum(LAYER[path]) * 4 for path, rank in some.items())
    filled = sum(
        (rank * LAYER[path][0] + -(-rank // 8) * 8 * LAYER[path][1]) * 4 for path, rank in some.items()
    )
    assert real <= laid.size_bytes <= 2 * filled + shape.page_bytes


@settings(max_examples=30)
@given(ranks, st.sampled_from([torch.float32, torch.bfloat16, torch.int8]))
def test_what_is_counted_of_host_memory_is_what_torch_takes_and_the_next_adapter_can_reuse(
    some: dict[str, int], dtype: torch.dtype
) -> None:
    """torch rounds each page-locked piece up to a power of two, and keeps it for one of the same size."""
    store = new_store(dtype)
    laid = store.lay_out(adapter("any", some, torch.float32 if dtype is torch.int8 else dtype))
    pieces = {page.untyped_storage().data_ptr(): page.untyped_storage().nbytes() for page in laid.pages}

    assert set(pieces.values()) == {StoreShape(LAYER, dtype, 64, CPU).page_bytes}
    assert sum(1 << (size - 1).bit_length() for size in pieces.values()) == laid.size_bytes


def test_thousands_of_swaps_of_all_sizes_leave_nothing_behind() -> None:
    store, draw = new_store(slots=6), random.Random(0)
    laid = [store.lay_out(adapter(f"n{rank}", dict.fromkeys(LAYER, rank))) for rank in (1, 4, 16, 33, 64)]
    here: list[tuple[Place, PagedAdapter]] = []
    for _ in range(2000):
        if len(here) == 6:
            place, _ = here.pop(draw.randrange(6))
            store.free(place)
        one = draw.choice(laid)
        here.append((store.copy_in(one), one))
        assert store.pages_used == sum(len(each.pages) for _, each in here)
    for place, _ in here:
        store.free(place)

    assert (store.pages_used, store.places_used) == (0, 0)


class FailingCopies:
    """Fails at every copy."""

    pinned = False

    def copy(self, targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
        raise RuntimeError("the device has gone")

    def zero(self, targets: list[torch.Tensor]) -> None:
        raise AssertionError("pages need no zeros")


def test_a_copy_that_fails_takes_nothing() -> None:
    shape = StoreShape(LAYER, torch.float32, 64, CPU)
    store = PageStore(list(LAYER), shape, room_for(1, shape), FailingCopies())

    with pytest.raises(RuntimeError, match="has gone"):
        store.copy_in(store.lay_out(adapter("a", {"q": 4})))
    assert (store.pages_used, store.places_used) == (0, 0)


def test_numbers_that_only_cpus_read_are_refused_by_name() -> None:
    with pytest.raises(EngineMisconfigured, match=r"int16 are for CPUs; on CUDA use float32, .* int8"):
        new_store(torch.int16)


def bytes_read(dtype: torch.dtype, rank: int) -> int:
    """Counts the bytes of matrices and scales that a step reads of an adapter on every linear."""
    store = new_store(dtype)
    stored = torch.float32 if dtype is torch.int8 else dtype
    place = store.copy_in(store.lay_out(adapter("any", dict.fromkeys(LAYER, rank), stored)))
    total = 0
    for path, (wide, tall) in LAYER.items():
        at_a, at_b, at_a_scale, at_b_scale, found = store.table[place.index, store.order[path]].tolist()
        assert found == rank and at_a != at_b
        total += (rank * wide + tall * -(-rank // 8) * 8) * store.weights.itemsize
        if at_a_scale or at_b_scale:
            total += (rank + tall) * store.scales.itemsize
    return total


def test_an_adapter_in_8_bits_is_read_in_little_more_than_half_of_16_bits_bytes() -> None:
    in_8, in_16 = bytes_read(torch.int8, 16), bytes_read(torch.bfloat16, 16)
    scales = sum(4 * (16 + tall) for _, tall in LAYER.values())

    assert in_8 == in_16 / 2 + scales
    assert in_8 < 0.62 * in_16
