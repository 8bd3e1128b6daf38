"""The native LoRA kernel gives every row its own adapter's part, and base rows nothing."""

import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fakes.engine.lora_weights import SHAPES, added, random_adapter
from parfocal.engine.adapters.slots import Place
from parfocal.engine.backends.native import Library
from parfocal.engine.backends.native.rows import SlabTables
from parfocal.engine.backends.native.step_work import NativeLora
from parfocal.engine.lora.adapter_files import LoraWeights, ModuleWeights
from parfocal.engine.lora.store import LoraStore
from parfocal.engine.scheduling.plan import Segment

Resident = tuple[Place, LoraWeights]
RANKS = [1, 3, 4, 8, 16, 17, 33, 129, 300]
rows_of = st.lists(
    st.tuples(st.none() | st.integers(0, len(RANKS) - 1), st.sampled_from([1, 1, 1, 2, 7, 8, 9, 30])),
    min_size=1,
    max_size=12,
)


def test_an_empty_slab_gives_its_memory_back_though_the_last_step_used_it() -> None:
    store = LoraStore(SHAPES, torch.float32, torch.device("cpu"), slab_slots=1)
    places = [store.put(random_adapter(8, seed=seed)) for seed in range(4)]
    tables = SlabTables(list(SHAPES))
    tables.of({place.slab: store.slabs[place.slab] for place in places})
    held = [weakref.ref(pair.a) for slab in store.slabs.values() for pair in slab.weights.values()]
    for place in places[:3]:
        store.free(place)

    assert sum(each() is not None for each in held) == len(SHAPES)


def test_a_slab_in_the_place_of_an_empty_one_is_seen_anew() -> None:
    store = LoraStore(SHAPES, torch.float32, torch.device("cpu"), slab_slots=1)
    tables = SlabTables(list(SHAPES))
    for seed in range(5):
        place = store.put(random_adapter(8, seed=seed))
        slab = store.slabs[place.slab]
        (struct,) = tables.of({place.slab: slab})

        assert [struct.pairs[at].a for at in range(len(SHAPES))] == [
            slab.weights[path].a.data_ptr() for path in SHAPES
        ]
        store.free(place)
        del slab


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int16, torch.int8])
@given(rows=rows_of, seed=st.integers(0, 100))
def test_every_row_gets_its_own_adapters_part(
    library: Library,
    dtype: torch.dtype,
    rows: list[tuple[int | None, int]],
    seed: int,
) -> None:
    torch.manual_seed(seed)
    store = LoraStore(SHAPES, dtype, torch.device("cpu"), slab_slots=3)
    residents = [_resident(store, rank) for rank in RANKS]
    ordered = sorted(rows, key=lambda row: _order(None if row[0] is None else residents[row[0]][0]))
    segments, owners, start = [], [], 0
    for number, length in ordered:
        if number is not None:
            segments.append(Segment(residents[number][0], start, start + length))
        owners += [None if number is None else residents[number][1]] * length
        start += length
    if not segments:
        return
    for path, (inputs, outputs) in SHAPES.items():
        x, before = torch.randn(start, inputs), torch.randn(start, outputs)
        y = before.clone()

        NativeLora(library, segments, store.slabs).add_to(y[None], x[None], path)

        for row, weights in enumerate(owners):
            part = added(weights, path, x[row].double()) if weights else torch.zeros(outputs).double()
            off = 1e-4 if dtype.is_floating_point else _rounding(weights, path, x[row])
            torch.testing.assert_close(y[row].double(), before[row] + part, rtol=1e-4, atol=off)
            assert weights is not None or torch.equal(y[row], before[row])


def _resident(store: LoraStore, rank: int) -> Resident:
    """Adds an adapter, and returns it with the numbers that the store has made of it."""
    drawn = random_adapter(rank, frozenset(SHAPES), seed=rank)
    place = store.put(drawn)
    modules = {}
    for path in drawn.modules:
        pair, at = store.slabs[place.slab].weights[path], slice(place.index, place.index + 1)
        (a,), (b,) = pair.whole(at, torch.float64)
        modules[path] = ModuleWeights(a.T[:rank], b.T[:, :rank])
    return place, LoraWeights(drawn.digest, modules)


def _rounding(weights: LoraWeights | None, path: str, x: torch.Tensor) -> float:
    """Returns how far 13 bits of activations may be off, as a part of all operands' norms."""
    pair = weights.modules.get(path) if weights else None
    return 1e-4 if pair is None else 1e-4 + 3e-4 * float(x.norm() * pair.a.norm() * pair.b.norm())


def _order(place: Place | None) -> tuple[int, int]:
    return (1 << 30, 0) if place is None else (place.slab, place.index)


@given(rank=st.sampled_from(RANKS), seed=st.integers(0, 100))
def test_in_8_bit_no_number_is_off_by_more_than_half_a_step(rank: int, seed: int) -> None:
    store = LoraStore(SHAPES, torch.int8, torch.device("cpu"), slab_slots=2)
    drawn = random_adapter(rank, frozenset(SHAPES), seed)
    place = store.put(drawn)
    for path, pair in drawn.modules.items():
        kept = store.slabs[place.slab].weights[path]
        (a,), (b,) = kept.whole(slice(place.index, place.index + 1), torch.float64)
        for found, right in ((a.T[:rank], pair.a), (b.T[:, :rank], pair.b)):
            step = right.abs().amax(1, keepdim=True) / 127
            assert ((found - right).abs() <= 0.51 * step).all()


def test_in_8_bit_an_adapter_takes_a_quarter_of_the_bytes() -> None:
    sizes = {"wide": (640, 640)}
    weights = LoraWeights("one", {"wide": ModuleWeights(torch.randn(16, 640), torch.randn(640, 16))})
    taken = {}
    for dtype in (torch.float32, torch.int8):
        store = LoraStore(sizes, dtype, torch.device("cpu"))
        store.put(weights)
        taken[dtype] = store.size_bytes
    assert taken[torch.int8] < 0.3 * taken[torch.float32]
