"""The native LoRA kernel gives every row its own adapter's part, and base rows nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fakes.lora_weights import SHAPES, added, random_adapter
from parfocal.engine.adapter_files import LoraWeights, ModuleWeights
from parfocal.engine.lora_batch import Segment
from parfocal.engine.lora_store import LoraStore
from parfocal.engine.native import Library, load
from parfocal.engine.native.step_work import NativeLora
from parfocal.engine.plan import Place

RANKS = [1, 3, 4, 8, 16, 17, 33, 129]
rows_of = st.lists(
    st.tuples(st.none() | st.integers(0, len(RANKS) - 1), st.sampled_from([1, 1, 1, 2, 7, 8, 9, 30])),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def library() -> Library:
    found = load()
    if found is None:
        pytest.skip("the native kernels do not run here")
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@given(rows=rows_of, seed=st.integers(0, 100))
def test_every_row_gets_its_own_adapters_part(
    library: Library,
    dtype: torch.dtype,
    rows: list[tuple[int | None, int]],
    seed: int,
) -> None:
    torch.manual_seed(seed)
    store = LoraStore(SHAPES, dtype, torch.device("cpu"), slab_slots=3)
    residents = [_resident(store, rank, dtype) for rank in RANKS]
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

        NativeLora(library, segments, store).add_to(y[None], x[None], path)

        for row, weights in enumerate(owners):
            part = added(weights, path, x[row].double()) if weights else torch.zeros(outputs).double()
            torch.testing.assert_close(y[row].double(), before[row] + part, rtol=1e-4, atol=1e-4)
            assert weights is not None or torch.equal(y[row], before[row])


def _resident(store: LoraStore, rank: int, dtype: torch.dtype) -> tuple[Place, LoraWeights]:
    """Adds an adapter whose numbers `dtype` holds exactly."""
    drawn = random_adapter(rank, frozenset(SHAPES), seed=rank)
    modules = {
        path: ModuleWeights(pair.a.to(dtype).double(), pair.b.to(dtype).double())
        for path, pair in drawn.modules.items()
    }
    weights = LoraWeights(f"rank{rank}", modules)
    return store.put(weights), weights


def _order(place: Place | None) -> tuple[int, int]:
    return (1 << 30, 0) if place is None else (place.slab, place.index)
