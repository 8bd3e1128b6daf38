"""What stands between a layer's products against plain torch, adapters and partial sums included."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from parfocal.engine.adapters.slots import Place
from parfocal.engine.backends.cuda.four_bit import Partials
from parfocal.engine.backends.cuda.fused.operations import (
    Heads,
    Norm,
    Rotation,
    add_and_normalise,
    gated,
    rotate_and_store,
)
from parfocal.engine.backends.cuda.fused.pending import Pending
from parfocal.engine.backends.cuda.lora import CudaLora, PageStore, Room, StoreShape, Tiles
from parfocal.engine.backends.cuda.lora.step import SHORT, padded
from parfocal.engine.lora import LoraWeights, ModuleWeights
from parfocal.engine.lora.copies import PlainCopies

INPUTS = 64
RANKS = (1, 7, 16, 19)
BASE = -1
EPSILON = 1e-5


@dataclass(frozen=True)
class Left:
    """What a product leaves: how many parts, and each row's adapter, of numbers of one type or of none."""

    places: list[int]
    parts: int
    adapters: torch.dtype | None

    @property
    def tolerance(self) -> float:
        """The error that is allowed."""
        return 2e-2 if self.adapters is torch.int8 else 1e-5


@dataclass(frozen=True)
class Drawn:
    """A product as it is left, and the same in double precision."""

    pending: Pending
    right: torch.Tensor


class Draw:
    """Random numbers from one seed."""

    def __init__(self, device: torch.device) -> None:
        self._draw = torch.Generator().manual_seed(5)
        self.device = device

    def __call__(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self._draw).to(self.device)

    def product(self, sizes: Sequence[int], case: Left) -> Drawn:
        """A product of some rows, each under the adapter at its place, which has a bias, too."""
        places, adapters = case.places, case.adapters
        rows, outputs = len(places), sum(sizes)
        left, bias = self(case.parts, rows, outputs), self(outputs)
        right = left.double().sum(0) + bias.double()
        partials = Partials(left, bias, tuple(sizes))
        if adapters is None:
            return Drawn(Pending(partials), right)
        x = self(rows, INPUTS)
        store, all_weights = self.adapters(sizes, adapters)
        for row, place in enumerate(places):
            if place != BASE:
                right[row] += torch.cat(
                    [
                        x[row].double() @ own.a.double().T @ own.b.double().T
                        if own is not None
                        else torch.zeros(size, dtype=torch.float64, device=self.device)
                        for own, size in zip(all_weights[place], sizes, strict=True)
                    ]
                )
        names = tuple(store.order)
        lora = lora_of(store, places)
        return Drawn(Pending(partials, lora.shrink(x, lora.shrinking(x, names), names)), right)

    def adapters(
        self, sizes: Sequence[int], dtype: torch.dtype
    ) -> tuple[PageStore, list[list[ModuleWeights | None]]]:
        """One adapter of each rank; the second leaves the last of several linears alone."""
        shapes = {f"linear{number}": (INPUTS, size) for number, size in enumerate(sizes)}
        shape = StoreShape(shapes, dtype, max(RANKS), self.device)
        room = Room(len(RANKS), len(RANKS) * shape.most_pages * shape.page_bytes)
        store = PageStore(list(shapes), shape, room, PlainCopies())
        found = []
        for number, rank in enumerate(RANKS):
            modules: Mapping[str, ModuleWeights] = {
                path: ModuleWeights(self(rank, INPUTS).cpu() / 8, self(tall, rank).cpu() / rank**0.5)
                for path, (_, tall) in shapes.items()
                if len(sizes) == 1 or number != 1 or path != list(shapes)[-1]
            }
            place = store.copy_in(store.lay_out(LoraWeights(f"adapter-{number}", dict(modules))))
            assert place == Place(0, number)
            found.append([on(modules.get(path), self.device) for path in shapes])
        return store, found


def on(weights: ModuleWeights | None, device: torch.device) -> ModuleWeights | None:
    return None if weights is None else ModuleWeights(weights.a.to(device), weights.b.to(device))


def lora_of(store: PageStore, places: Sequence[int]) -> CudaLora:
    """Decode work: a tile for each row that has an adapter."""
    device = store.table.device
    rows = [(place, row, 1) for row, place in enumerate(places) if place != BASE]
    tiles = Tiles(
        padded(rows, len(places) + 1).to(device),
        SHORT,
        torch.tensor(places, dtype=torch.int32, device=device),
    )
    return CudaLora(store, tiles, max(RANKS))


def normalised(x: torch.Tensor, norm: Norm) -> torch.Tensor:
    """A root-mean-square norm over the last dimension."""
    return x / (x.pow(2).mean(-1, keepdim=True) + norm.epsilon).sqrt() * norm.weight.double()


def close(found: torch.Tensor, right: torch.Tensor, tolerance: float = 1e-5) -> bool:
    return torch.allclose(found.double(), right, rtol=tolerance, atol=tolerance * float(right.abs().max()))


LEFT = st.builds(
    Left,
    st.lists(st.integers(BASE, len(RANKS) - 1), min_size=1, max_size=3),
    st.integers(1, 4),
    st.sampled_from([None, torch.float32, torch.int8]),
)


@settings(max_examples=10)
@given(size=st.integers(2, 90), left=LEFT, has_inner=st.booleans())
def test_a_norm_adds_what_is_left_to_the_residual(
    device: torch.device, size: int, left: Left, has_inner: bool
) -> None:
    draw = Draw(device)
    drawn = draw.product((size,), left)
    residual, norm = draw(len(left.places), size), Norm(draw(size), EPSILON)
    inner = Norm(draw(size), EPSILON) if has_inner else None
    added = residual.double() + (normalised(drawn.right, inner) if inner else drawn.right)
    y = add_and_normalise(residual, drawn.pending, norm, inner)

    assert close(residual, added, left.tolerance)
    assert close(y, normalised(added, norm), left.tolerance)


def test_the_first_norm_adds_nothing(device: torch.device) -> None:
    draw = Draw(device)
    residual, norm = draw(2, 33).to(torch.bfloat16), Norm(draw(33), EPSILON)
    before = residual.clone()
    y = add_and_normalise(residual, None, norm)

    assert torch.equal(residual, before)
    assert y.dtype is torch.bfloat16
    assert close(y, normalised(before.double(), norm), 2e-2)


@dataclass(frozen=True)
class Shape:
    """A layer's heads: how many numbers of each turn, and whether one linear makes them all."""

    queries: int
    keys: int
    dim: int
    turning: int
    is_normed: bool
    is_joined: bool

    @property
    def sizes(self) -> tuple[int, ...]:
        """The outputs of its linears."""
        sizes = self.queries * self.dim, self.keys * self.dim, self.keys * self.dim
        return (sum(sizes),) if self.is_joined else sizes


def turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotates `x` `[tokens, heads, dim]` as transformers does."""
    turning = cos.shape[1]
    own, rest = x[..., :turning], x[..., turning:]
    low, high = own.chunk(2, -1)
    own = own * cos[:, None].double() + torch.cat([-high, low], -1) * sin[:, None].double()
    return torch.cat([own, rest], -1)


@settings(max_examples=10)
@given(
    shape=st.builds(
        lambda keys, group, dim, turning, normed, joined: Shape(
            keys * group, keys, dim, min(turning, dim), normed, joined
        ),
        st.integers(1, 3),
        st.sampled_from([1, 2, 3]),
        st.sampled_from([8, 12, 24]),
        st.sampled_from([4, 8, 24]),
        st.booleans(),
        st.booleans(),
    ),
    left=LEFT,
)
def test_queries_turn_and_keys_and_values_land_in_the_cache(
    device: torch.device, shape: Shape, left: Left
) -> None:
    draw = Draw(device)
    rows, dim = len(left.places), shape.dim
    drawn = draw.product(shape.sizes, left)
    norms = [Norm(draw(dim), EPSILON) for _ in range(2)] if shape.is_normed else [None, None]
    cos, sin = draw(rows, shape.turning), draw(rows, shape.turning)
    written = torch.tensor([5, BASE, 2][:rows], device=device)
    cache = torch.full((2, 2, 4, shape.keys, dim), 9.0, device=device)
    heads = Heads(shape.queries, shape.keys, dim, *norms)
    query = rotate_and_store(drawn.pending, Rotation(cos, sin, written), heads, cache[0], cache[1])

    counts = shape.queries, shape.keys, shape.keys
    parts = drawn.right.split([count * dim for count in counts], 1)
    q, k, v = (part.view(rows, count, dim) for part, count in zip(parts, counts, strict=True))
    q, k = (
        turned(x if norm is None else normalised(x, norm), cos, sin)
        for x, norm in zip((q, k), norms, strict=True)
    )
    assert close(query, q, left.tolerance)
    for stored, right in zip(cache.flatten(1, 2), (k, v), strict=True):
        expected = torch.full_like(stored, 9.0, dtype=torch.float64)
        for row, place in enumerate(written.tolist()):
            if place >= 0:
                expected[place] = right[row]
        assert close(stored, expected, left.tolerance)


@settings(max_examples=8)
@given(size=st.integers(2, 70), left=LEFT, is_joined=st.booleans(), gelu=st.booleans())
def test_a_gate_opens_for_its_up(
    device: torch.device, size: int, left: Left, is_joined: bool, gelu: bool
) -> None:
    sizes = (2 * size,) if is_joined else (size, size)
    drawn = Draw(device).product(sizes, left)
    gate, up = drawn.right.chunk(2, 1)
    opened = functional.gelu(gate, approximate="tanh") if gelu else functional.silu(gate)

    assert close(gated(drawn.pending, torch.float32, gelu=gelu), opened * up, left.tolerance)


def test_a_row_gets_the_same_bits_whoever_is_beside_it(device: torch.device) -> None:
    sizes, places = (48, 48), [2, BASE, 3]
    pending = Draw(device).product(sizes, Left(places, 3, torch.float32)).pending
    together = gated(pending, torch.float32, gelu=False)
    shrunk = pending.shrunk
    assert shrunk is not None
    for row, place in enumerate(places):
        parts = pending.partials.parts[:, row : row + 1].contiguous()
        lone = Partials(parts, pending.partials.bias, sizes)
        own = torch.tensor([place], dtype=torch.int32, device=device)
        h = shrunk.h[:, :, row : row + 1].contiguous()
        alone = Pending(lone, type(shrunk)(h, shrunk.store, own, shrunk.first))
        assert torch.equal(gated(alone, torch.float32, gelu=False)[0], together[row])
