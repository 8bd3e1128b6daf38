"""The adapters' kernels against plain torch: any ranks, any pattern of rows, any kind of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal.engine.adapters.slots import Place
from parfocal.engine.backends.cuda.lora.page_store import PageStore, Room, StoreShape
from parfocal.engine.backends.cuda.lora.step import LONG, SHORT, CudaLora, Tiles, padded, tile_rows, tiles_of
from parfocal.engine.backends.cuda.sending import each_by_itself
from parfocal.engine.lora.adapter_files import LoraWeights, ModuleWeights
from parfocal.engine.lora.copies import PlainCopies
from parfocal.engine.scheduling.plan import Segment

SHAPES = {"q": (96, 80), "k": (96, 24), "v": (96, 40), "down": (2048, 33)}
GROUPS = [("q", "k", "v"), ("down",)]
RANKS = st.one_of(st.integers(1, 40), st.sampled_from([1, 8, 16, 17, 64, 129]))
# Of one part and of several, in whole steps and not.
LENGTHS = st.one_of(st.integers(1, 300), st.sampled_from([1024, 2047, 2048, 2100]))
TOLERANCES = {torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 4e-3}
BASE = -1


@dataclass(frozen=True)
class Case:
    """Adapters by the rank of each linear (0: not adapted), and whose row each run of tokens is."""

    ranks: tuple[dict[str, int], ...]
    runs: tuple[tuple[int, int], ...]
    shapes: Mapping[str, tuple[int, int]] = field(default_factory=lambda: SHAPES)

    def segments(self) -> list[Segment]:
        """Returns the runs' tokens, base runs left out, adapters in order as a step lays them out."""
        found, start = [], 0
        for adapter, tokens in self.runs:
            if adapter != BASE:
                found.append(Segment(Place(0, adapter), start, start + tokens))
            start += tokens
        return found

    @property
    def tokens(self) -> int:
        return sum(tokens for _, tokens in self.runs)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    linear_ranks = st.fixed_dictionaries({path: st.one_of(RANKS, st.just(0)) for path in SHAPES})
    ranks = draw(st.lists(linear_ranks, min_size=1, max_size=3))
    runs = draw(st.lists(st.tuples(st.integers(BASE, len(ranks) - 1), st.integers(1, 20)), max_size=5))
    wide, long = draw(st.integers(1, 160)), draw(LENGTHS)
    inputs = {path: wide for path in GROUPS[0]} | {path: long for path in GROUPS[1]}
    shapes = {path: (inputs[path], draw(st.integers(2, 150))) for path in SHAPES}
    order = sorted(runs, key=lambda run: run[0] if run[0] != BASE else 99)
    return Case(tuple(ranks), tuple(order), shapes)


def weights(
    number: int,
    ranks: dict[str, int],
    dtype: torch.dtype,
    shapes: Mapping[str, tuple[int, int]] = SHAPES,
) -> LoraWeights:
    """Random matrices, of size about one; at least one linear is adapted."""
    draw = torch.Generator().manual_seed(number)
    modules = {}
    for path, rank in ranks.items():
        wide, tall = shapes[path]
        if rank or path == "q":
            a = torch.randn(rank or 1, wide, generator=draw) / wide**0.5
            b = torch.randn(tall, rank or 1, generator=draw) / (rank or 1) ** 0.5
            modules[path] = ModuleWeights(a.to(dtype), b.to(dtype))
    return LoraWeights(f"adapter-{number}", modules)


def expected(case: Case, adapters: Sequence[LoraWeights], x: torch.Tensor, path: str) -> torch.Tensor:
    """Returns the adapters' part in double precision, straight from the formula."""
    y = torch.zeros(case.tokens, case.shapes[path][1], dtype=torch.float64, device=x.device)
    for segment in case.segments():
        module = adapters[segment.place.index].modules.get(path)
        if module is not None:
            part = slice(segment.start, segment.end)
            a, b = (matrix.to(x.device, torch.float64) for matrix in (module.a, module.b))
            y[part] += x[part].double() @ a.T @ b.T
    return y


def filled(
    dtype: torch.dtype,
    adapters: Sequence[LoraWeights],
    device: torch.device,
    shapes: Mapping[str, tuple[int, int]] = SHAPES,
) -> PageStore:
    columns = [path for group in GROUPS for path in group]
    shape = StoreShape(shapes, dtype, 129, device)
    room = Room(len(adapters), len(adapters) * shape.most_pages * shape.page_bytes)
    store = PageStore(columns, shape, room, PlainCopies())
    for number, adapter in enumerate(adapters):
        assert store.copy_in(store.lay_out(adapter)) == Place(0, number)
    return store


def tiles(case: Case, size: int, device: torch.device, more: int = 0) -> Tiles:
    rows = tile_rows(case.segments(), size)
    return Tiles(padded(rows, len(rows) + more).to(device), size)


def assert_equal(
    case: Case, numbers: torch.dtype, adapter_dtype: torch.dtype, size: int, device: torch.device
) -> None:
    draw = torch.Generator().manual_seed(7)
    stored = torch.float32 if adapter_dtype is torch.int8 else adapter_dtype
    adapters = [weights(number, ranks, stored, case.shapes) for number, ranks in enumerate(case.ranks)]
    step = CudaLora(
        filled(adapter_dtype, adapters, device, case.shapes), tiles(case, size, device, more=2), 129
    )
    tolerance = 2e-2 if adapter_dtype is torch.int8 else TOLERANCES[numbers]
    for paths in GROUPS:
        x = torch.randn(case.tokens, case.shapes[paths[0]][0], generator=draw).to(device, numbers)
        before = [
            torch.randn(case.tokens, case.shapes[path][1], generator=draw).to(device, numbers)
            for path in paths
        ]
        ys = [y.clone() for y in before]
        step.add_to_group(ys, x, paths)
        for path, y, old in zip(paths, ys, before, strict=True):
            part = expected(case, adapters, x, path)
            untouched = part.abs().sum(1) == 0
            assert torch.equal(y[untouched], old[untouched])
            assert torch.allclose(y.double(), old.double() + part, rtol=tolerance, atol=4 * tolerance)


@settings(max_examples=40)
@given(case=cases(), size=st.sampled_from([SHORT, LONG]))
def test_any_mix_of_adapters_ranks_and_base_rows_is_as_in_torch(
    device: torch.device, case: Case, size: int
) -> None:
    assert_equal(case, torch.float32, torch.float32, size, device)


@settings(max_examples=12)
@given(case=cases(), numbers=st.sampled_from([torch.bfloat16, torch.float16]))
def test_in_half_precision_too(device: torch.device, case: Case, numbers: torch.dtype) -> None:
    assert_equal(case, numbers, numbers, SHORT, device)


@settings(max_examples=12)
@given(case=cases(), numbers=st.sampled_from([torch.bfloat16, torch.float32]))
def test_adapters_in_8_bits_are_as_near_as_8_bits_are(
    device: torch.device, case: Case, numbers: torch.dtype
) -> None:
    assert_equal(case, numbers, torch.int8, SHORT, device)


def every_row(adapter: int) -> Case:
    full = dict.fromkeys(SHAPES, 16)
    return Case((full, full), tuple((adapter, 1) for _ in range(5)))


@pytest.mark.parametrize("rows", ["base", "one", "different", "none"])
def test_the_plain_patterns_hold(device: torch.device, rows: str) -> None:
    ranks = tuple(dict.fromkeys(SHAPES, rank) for rank in (1, 7, 16, 128, 129))
    case = {
        "base": Case(ranks, tuple((BASE, 1) for _ in range(5))),
        "one": every_row(1),
        "different": Case(ranks, tuple((number, 1) for number in range(5))),
        "none": Case(ranks, ()),
    }[rows]
    assert_equal(case, torch.float32, torch.float32, SHORT, device)


def test_a_row_gets_the_same_bits_whoever_is_beside_it(device: torch.device) -> None:
    full = dict.fromkeys(SHAPES, 24)
    adapters = [weights(number, full, torch.float32) for number in range(3)]
    store = filled(torch.float32, adapters, device)
    x = torch.randn(3, 2048, generator=torch.Generator().manual_seed(1)).to(device)
    together, alone = (torch.zeros(3, 33, device=device) for _ in range(2))
    crowd = Case((full, full, full), ((0, 1), (1, 1), (2, 1)))
    CudaLora(store, tiles(crowd, SHORT, device), 129).add_to(together, x, "down")
    CudaLora(store, Tiles(padded([(1, 1, 1)], 1).to(device), SHORT), 129).add_to(alone, x, "down")

    assert torch.equal(together[1], alone[1])
    assert not alone[0].any()


@pytest.mark.parametrize("numbers", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("adapter_numbers", [None, torch.int8])
def test_a_row_gets_the_same_bits_beside_a_long_prompt(
    device: torch.device, numbers: torch.dtype, adapter_numbers: torch.dtype | None
) -> None:
    # Three parts: the order of two changes nothing.
    wide = {path: (3072, outputs) for path, (_, outputs) in SHAPES.items()}
    full = dict.fromkeys(SHAPES, 8)
    adapters = [weights(number, full, torch.float32, wide) for number in range(2)]
    store = filled(adapter_numbers or torch.float32, adapters, device, wide)
    x = torch.randn(71, 3072, generator=torch.Generator().manual_seed(1)).to(device, numbers)
    found = []
    for beside in (0, 4, 20, 70):
        segments = [Segment(Place(0, 0), 0, 1), Segment(Place(0, 1), 1, 1 + beside)]
        y = torch.zeros(1 + beside, 33, dtype=numbers, device=device)
        CudaLora(store, tiles_of(segments, each_by_itself(device)), 129).add_to(y, x[: 1 + beside], "down")
        found.append(y[0])

    assert found[0].any()
    assert all(torch.equal(found[0], row) for row in found[1:])


def test_an_adapter_that_took_anothers_place_answers_at_once(device: torch.device) -> None:
    full = dict.fromkeys(SHAPES, 16)
    old, new = (weights(number, full, torch.float32) for number in range(2))
    store = filled(torch.float32, [old], device)
    # What a captured step holds: the store's tensors and its tiles, filled before.
    step = CudaLora(store, Tiles(padded([(0, 0, 2)], 1).to(device), SHORT), 129)
    store.free(Place(0, 0))
    store.copy_in(store.lay_out(new))
    x, y = torch.randn(2, 96).to(device), torch.zeros(2, 80, device=device)
    step.add_to(y, x, "q")

    right = expected(Case((full,), ((0, 2),)), [new], x, "q")
    assert torch.allclose(y.double(), right, rtol=1e-4, atol=1e-4)
