"""Any pattern of rows gets what each would get alone, and base rows get nothing."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.engine.lora_weights import SHAPES, added, random_adapter
from parfocal.engine.adapters.slots import Place
from parfocal.engine.lora.adapter_files import LoraWeights
from parfocal.engine.lora.batch import SHORT_TOKENS, LoraBatch
from parfocal.engine.lora.store import LoraStore
from parfocal.engine.scheduling.plan import Segment

CPU = torch.device("cpu")
Resident = tuple[Place, LoraWeights]
Row = tuple[int | None, int]  # which resident adapter, if any, and how many tokens


@dataclass(frozen=True)
class Arrival:
    """An adapter that comes; `leaves` before the batch, perhaps with another in its place."""

    rank: int
    modules: frozenset[str]
    leaves: bool
    replaced: bool


arrivals = st.builds(
    Arrival,
    rank=st.sampled_from([1, 3, 4, 4, 4, 7, 16]),
    modules=st.frozensets(st.sampled_from(sorted(SHAPES)), min_size=1),
    leaves=st.booleans(),
    replaced=st.booleans(),
)
lengths = st.sampled_from([1, 1, 1, 1, 2, 3, SHORT_TOKENS, SHORT_TOKENS + 1, 40])
rows_of = st.lists(st.tuples(st.none() | st.integers(0, 30), lengths), min_size=1, max_size=14)


def new_store() -> LoraStore:
    return LoraStore(SHAPES, torch.float64, CPU, slab_slots=5)


def churned(store: LoraStore, plan: list[Arrival]) -> list[Resident]:
    """Lets the adapters come and go; where one has left without a successor there is nothing but NaN."""
    placed = [(store.put(random_adapter(one.rank, one.modules, seed)), one) for seed, one in enumerate(plan)]
    residents = []
    for seed, (place, one) in enumerate(placed):
        if not one.leaves:
            residents.append((place, random_adapter(one.rank, one.modules, seed)))
            continue
        for pair in store.slabs[place.slab].weights.values():
            for tensor in (pair.a, pair.b):
                tensor[place.index].fill_(torch.nan)
        store.free(place)
        if one.replaced:
            fresh = random_adapter(one.rank, one.modules, 100 + seed)
            residents.append((store.put(fresh), fresh))
    return residents or [(store.put(random_adapter(4)), random_adapter(4))]


def laid_out(rows: list[Row], residents: list[Resident]) -> tuple[list[Segment], list[LoraWeights | None]]:
    """Sorts the rows by place, base rows first or last; returns the segments and each token's adapter."""
    chosen = [(residents[which % len(residents)], n) for which, n in rows if which is not None]
    segments, owners = [], list[LoraWeights | None]()
    base = sum(n for which, n in rows if which is None)
    if rows[0][0] is None:
        owners += [None] * base
    for (place, weights), length in sorted(chosen, key=lambda row: (row[0][0], row[1])):
        segments.append(Segment(place, len(owners), len(owners) + length))
        owners += [weights] * length
    if rows[0][0] is not None:
        owners += [None] * base
    return segments, owners


def random_tokens(count: int, features: int) -> torch.Tensor:
    return torch.randn(1, count, features, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


@settings(max_examples=150)
@given(st.lists(arrivals, min_size=1, max_size=14), rows_of, st.sampled_from(sorted(SHAPES)))
def test_every_row_gets_what_it_would_get_alone(plan: list[Arrival], rows: list[Row], path: str) -> None:
    store = new_store()
    segments, owners = laid_out(rows, churned(store, plan))
    x, y = (random_tokens(len(owners), features) for features in SHAPES[path])
    expected = y.clone()
    for at, owner in enumerate(owners):
        if owner is not None:
            expected[0, at] += added(owner, path, x[0, at])
    base = [at for at, owner in enumerate(owners) if owner is None]
    before = y[0, base].clone()

    LoraBatch(segments, store.slabs, CPU).add_to(y, x, path)

    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(y[0, base], before)


@pytest.mark.parametrize("long", [1, SHORT_TOKENS + 4])
def test_a_token_that_is_not_finite_spoils_no_other(long: int) -> None:
    store = new_store()
    first, second = random_adapter(4, seed=1), random_adapter(4, seed=2)
    places = store.put(first), store.put(second)
    x, y = random_tokens(long + 3, 6), torch.zeros(1, long + 3, 9, dtype=torch.float64)
    x[0, 0] = torch.nan  # the first token is what short rows are padded with
    segments = [Segment(places[0], 0, long), Segment(places[1], long, long + 3)]

    LoraBatch(segments, store.slabs, CPU).add_to(y, x, "up")

    assert y[0, 0].isnan().all()
    for at in range(1, long + 3):
        torch.testing.assert_close(y[0, at], added(first if at < long else second, "up", x[0, at]))


def test_a_long_segment_between_short_ones_is_not_taken_for_theirs() -> None:
    """16 + 20 + 12 tokens are as many as three slots of 16 hold, but the short rows do not fill them."""
    store = new_store()
    residents = [(store.put(weights), weights) for weights in (random_adapter(4, seed=n) for n in range(3))]
    segments, owners = laid_out([(0, SHORT_TOKENS), (1, SHORT_TOKENS + 4), (2, SHORT_TOKENS - 4)], residents)
    x, y = random_tokens(len(owners), 6), torch.zeros(1, len(owners), 9, dtype=torch.float64)

    LoraBatch(segments, store.slabs, CPU).add_to(y, x, "up")

    for at, owner in enumerate(owners):
        assert owner is not None
        torch.testing.assert_close(y[0, at], added(owner, "up", x[0, at]))


def test_a_module_that_no_adapter_here_adapts_is_left_alone() -> None:
    store = new_store()
    place = store.put(random_adapter(4, {"up"}))
    x, y = random_tokens(2, 9), random_tokens(2, 6)
    before = y.clone()

    LoraBatch([Segment(place, 0, 2)], store.slabs, CPU).add_to(y, x, "down")

    assert torch.equal(y, before)
