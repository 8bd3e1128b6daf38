"""One adapter in host memory, laid out as its place on the device will hold it, so that a load is a copy.

Knows ranks and types, but neither slabs nor devices' memory.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from .adapter_files import LoraWeights, ModuleWeights

# An adapter of a higher rank has a slab to itself; none of its neighbours could share much of a matmul.
SHARED_RANK = 64
_RANK_STEP = 16
# Outputs that a CPU's register holds.
_LANES = 16
# A block of 64 products of such integers with activations of 13 bits fits 32 bits.
MOST_INTEGER = {torch.int16: 8191, torch.int8: 127}


def slab_rank(rank: int) -> int:
    """Returns the rank of the slab in which an adapter of `rank` lies.

    Up to 64 a power of two, at least 4, so that neighbours share a slab; above, a multiple of 16.

    >>> [slab_rank(rank) for rank in (1, 4, 5, 16, 33, 65, 129)]
    [4, 4, 8, 16, 64, 80, 144]
    """
    if rank > SHARED_RANK:
        return -(-rank // _RANK_STEP) * _RANK_STEP
    return max(4, 1 << (rank - 1).bit_length())


@dataclass(frozen=True, slots=True)
class AdapterPair:
    """One module's matrices for all slots of a slab: A `[slots, in, rank]` and B `[slots, rank, out]`.

    Integers lie in pairs of neighbouring inputs, which CPUs multiply at once, and in the order in which they
    are read: A `[slots, in / 2, rank, 2]`, B `[slots, out / 16, rank / 2, 16, 2]`, filled up with zeros. Each
    of their columns, which is a row of the adapter's own matrix, has a scale: `[slots, rank]` and
    `[slots, out]`; otherwise both are None. `inputs` is the module's true number.
    """

    inputs: int
    a: torch.Tensor
    b: torch.Tensor
    a_scale: torch.Tensor | None = None
    b_scale: torch.Tensor | None = None

    @property
    def parts(self) -> list[torch.Tensor]:
        """Returns the tensors that there are."""
        return [part for part in (self.a, self.b, self.a_scale, self.b_scale) if part is not None]

    @property
    def size_bytes(self) -> int:
        """Returns the bytes of all slots."""
        return sum(part.nbytes for part in self.parts)

    def whole(self, index: slice, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns A `[slots, in, rank]` and B `[slots, rank, out]` of some slots as numbers of `dtype`."""
        a, b = self.a[index].to(dtype), self.b[index].to(dtype)
        if self.a_scale is None or self.b_scale is None:
            return a, b
        outputs = self.b_scale.shape[1]
        a = a.transpose(2, 3).flatten(1, 2)[:, : self.inputs]
        b = b.permute(0, 2, 4, 1, 3).flatten(1, 2).flatten(2)[:, :, :outputs]
        return a * self.a_scale[index, None].to(dtype), b * self.b_scale[index, None].to(dtype)


@dataclass(frozen=True, slots=True)
class LaidAdapter:
    """A whole adapter as one slot of a slab holds it: `modules` has pairs of one slot, of the slab's rank.

    `rank` is the adapter's own. The pairs are views of one piece of memory, page-locked where that makes
    copies to the device fast.
    """

    digest: str
    rank: int
    modules: dict[str, AdapterPair]

    @property
    def slab_rank(self) -> int:
        """Returns the rank of the slabs that it fits."""
        return slab_rank(self.rank)

    @property
    def size_bytes(self) -> int:
        """Returns the bytes of the pairs, here and in a slot."""
        return sum(pair.size_bytes for pair in self.modules.values())


def lay_out(weights: LoraWeights, dtype: torch.dtype, *, pinned: bool = False) -> LaidAdapter:
    """Returns the adapter in a slot's layout and type; what a module lacks of the slab's rank is zero."""
    modules, rank = weights.modules, slab_rank(weights.rank)
    shapes = [_shapes(module, rank, dtype) for module in modules.values()]
    sizes = [math.prod(shape) for pair in shapes for shape in pair]
    pieces = iter(torch.zeros(sum(sizes), dtype=dtype, pin_memory=pinned).split(sizes))
    laid = {
        path: AdapterPair(module.a.shape[1], next(pieces).view(a), next(pieces).view(b))
        for (path, module), (a, b) in zip(modules.items(), shapes, strict=True)
    }
    if dtype.is_floating_point:
        _copy(laid, modules)
    else:
        laid = {path: _in_integers(pair, modules[path], pinned=pinned) for path, pair in laid.items()}
    return LaidAdapter(weights.digest, weights.rank, laid)


def pair_shapes(
    shape: tuple[int, int], slots: int, rank: int, dtype: torch.dtype
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the shapes of A and B for a module of `shape` (in_features, out_features)."""
    wide, tall = shape
    if dtype.is_floating_point:
        return (slots, wide, rank), (slots, rank, tall)
    return (slots, -(-wide // 2), rank, 2), (slots, -(-tall // _LANES), rank // 2, _LANES, 2)


def _shapes(module: ModuleWeights, rank: int, dtype: torch.dtype) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return pair_shapes((module.a.shape[1], module.b.shape[0]), 1, rank, dtype)


def _copy(laid: dict[str, AdapterPair], modules: dict[str, ModuleWeights]) -> None:
    """Transposes all matrices in one call, so that hundreds do not take the interpreter's lock each."""
    targets, sources = [], []
    for path, module in modules.items():
        pair, rank = laid[path], module.a.shape[0]
        targets += [pair.a[0, :, :rank], pair.b[0, :rank]]
        sources += [module.a.T, module.b.T]
    torch._foreach_copy_(targets, sources)


def _in_integers(pair: AdapterPair, module: ModuleWeights, *, pinned: bool) -> AdapterPair:
    """Fills the pair with integers and returns it with a scale for each row of the module's matrices."""
    a, b, slab = pair.a[0], pair.b[0], pair.a.shape[2]
    rank, tall = module.a.shape[0], module.b.shape[0]
    a_scale, b_scale = (torch.zeros(1, size, dtype=torch.float32, pin_memory=pinned) for size in (slab, tall))
    whole_a = _rounded(module.a, a_scale[0, :rank], a.dtype)
    even = functional.pad(whole_a, (0, 2 * a.shape[0] - whole_a.shape[1]))
    a[:, :rank] = even.view(rank, -1, 2).transpose(0, 1)
    whole_b = _rounded(module.b, b_scale[0], b.dtype)
    full = functional.pad(whole_b, (0, slab - rank, 0, _LANES * b.shape[0] - tall))
    b[:] = full.view(-1, _LANES, slab // 2, 2).transpose(1, 2)
    return AdapterPair(pair.inputs, pair.a, pair.b, a_scale, b_scale)


def _rounded(matrix: torch.Tensor, scale: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Returns the matrix as whole numbers and writes what each row's are multiples of into `scale`."""
    most = matrix.abs().amax(1).float()
    scale.copy_(torch.where(most > 0, most / MOST_INTEGER[dtype], 1.0))
    return (matrix.float() / scale[:, None]).round_()
