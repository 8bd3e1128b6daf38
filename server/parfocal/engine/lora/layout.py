"""One adapter in host memory, laid out as on the device, so that a load is a plain copy.

Knows ranks and types, but neither slabs nor devices' memory.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional

from parfocal.engine.lora.adapter_files import LoraWeights, ModuleWeights

# An adapter of a higher rank has a slab to itself: it would gain little from sharing a matmul.
SHARED_RANK = 64
_RANK_STEP = 16
# Outputs per CPU register.
_LANES = 16
# The sum of 64 products of such integers with 13-bit activations fits 32 bits.
MOST_INTEGER = {torch.int16: 8191, torch.int8: 127}
_TWICE = {torch.int16: torch.int32, torch.int8: torch.int16}


def slab_rank(rank: int) -> int:
    """Returns the rank of the slab for an adapter of `rank`.

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

    Integers lie in pairs of neighbouring inputs, which CPUs multiply together, and in reading order: A
    `[slots, in / 2, rank, 2]`, B `[slots, out / 16, rank / 2, 16, 2]`, padded with zeros. Each of their
    columns, which is a row of the adapter's own matrix, has a scale: `[slots, rank]` and `[slots, out]`; for
    floats both are None. `inputs` is the module's number without padding.
    """

    inputs: int
    a: torch.Tensor
    b: torch.Tensor
    a_scale: torch.Tensor | None = None
    b_scale: torch.Tensor | None = None

    @property
    def parts(self) -> list[torch.Tensor]:
        """Its tensors, leaving out those it lacks."""
        return [part for part in (self.a, self.b, self.a_scale, self.b_scale) if part is not None]

    @property
    def size_bytes(self) -> int:
        """The bytes of all slots."""
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
class Stack:
    """Modules of one shape in few tensors: their pairs' parts `[modules, slots, …]`, in the paths' order.

    A model has hundreds of modules and few shapes, so a whole adapter is copied in a few calls.
    """

    paths: tuple[str, ...]
    inputs: int
    parts: tuple[torch.Tensor, ...]

    @property
    def size_bytes(self) -> int:
        """The bytes of all modules and slots."""
        return sum(part.nbytes for part in self.parts)

    def pairs(self) -> dict[str, AdapterPair]:
        """Each module's pair, which shares its memory with the stack."""
        each = zip(self.paths, *(part.unbind() for part in self.parts), strict=True)
        return {path: AdapterPair(self.inputs, *parts) for path, *parts in each}


@dataclass(frozen=True, slots=True)
class LaidAdapter:
    """A whole adapter in a slot's layout: `modules` has pairs of one slot, of the slab's rank.

    `rank` is the adapter's own, `size_bytes` the size of the pairs, here and in a slot. The pairs are views
    of a few pieces of memory, of a size that only this adapter has: page-locked they would be rounded up to
    powers of two, and kept when the adapter is gone. `stacks` are these pieces, where modules are stacked.
    """

    digest: str
    rank: int
    modules: dict[str, AdapterPair]
    size_bytes: int
    stacks: tuple[Stack, ...] = ()

    @property
    def slab_rank(self) -> int:
        """The rank of the slabs it fits."""
        return slab_rank(self.rank)


def lay_out(weights: LoraWeights, dtype: torch.dtype) -> LaidAdapter:
    """Returns the adapter in a slot's layout and dtype, zero-padded to the slab's rank."""
    rank = slab_rank(weights.rank)
    stacks: tuple[Stack, ...] = ()
    if dtype.is_floating_point:
        modules = _as_floats(weights.modules, rank, dtype)
    else:
        stacks = tuple(_as_integers(weights.modules, rank, dtype))
        modules = {path: pair for stack in stacks for path, pair in stack.pairs().items()}
    # Summed once, on the loading thread, because the step thread's budgets ask for it often.
    size_bytes = sum(pair.size_bytes for pair in modules.values())
    return LaidAdapter(weights.digest, weights.rank, modules, size_bytes, stacks)


def pair_shapes(
    shape: tuple[int, int], slots: int, rank: int, dtype: torch.dtype
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the shapes of A and B for a module of `shape` (in_features, out_features)."""
    wide, tall = shape
    if dtype.is_floating_point:
        return (slots, wide, rank), (slots, rank, tall)
    return (slots, -(-wide // 2), rank, 2), (slots, -(-tall // _LANES), rank // 2, _LANES, 2)


def _as_floats(modules: dict[str, ModuleWeights], slab: int, dtype: torch.dtype) -> dict[str, AdapterPair]:
    """Transposes all matrices in one call, so that hundreds do not each take the GIL."""
    shapes = [pair_shapes(_shape(module), 1, slab, dtype) for module in modules.values()]
    sizes = [math.prod(shape) for pair in shapes for shape in pair]
    pieces = iter(torch.zeros(sum(sizes), dtype=dtype).split(sizes))
    laid, targets, sources = {}, [], []
    for (path, module), (a, b) in zip(modules.items(), shapes, strict=True):
        pair = laid[path] = AdapterPair(module.a.shape[1], next(pieces).view(a), next(pieces).view(b))
        rank = module.a.shape[0]
        targets += [pair.a[0, :, :rank], pair.b[0, :rank]]
        sources += [module.a.T, module.b.T]
    torch._foreach_copy_(targets, sources)
    return laid


def _as_integers(modules: dict[str, ModuleWeights], slab: int, dtype: torch.dtype) -> Iterator[Stack]:
    """Yields the modules of each shape, rounded together."""
    alike: dict[tuple[torch.Size, torch.Size], list[str]] = {}
    for path, module in modules.items():
        alike.setdefault((module.a.shape, module.b.shape), []).append(path)
    for paths in alike.values():
        a, a_scale = rounded(torch.stack([modules[path].a for path in paths]), dtype)
        b, b_scale = rounded(torch.stack([modules[path].b for path in paths]), dtype)
        (rank, wide), tall = a.shape[1:], b.shape[1]
        shapes = pair_shapes((wide, tall), len(paths), slab, dtype)
        all_a, all_b = (torch.zeros(shape, dtype=dtype) for shape in shapes)
        even = functional.pad(a, (0, wide % 2))
        _pairs(all_a)[:, :, :rank] = _pairs(even.view(len(paths), rank, -1, 2)).transpose(1, 2)
        full = functional.pad(b, (0, slab - rank, 0, -tall % _LANES))
        _pairs(all_b)[:] = _pairs(full.view(len(paths), -1, _LANES, slab // 2, 2)).transpose(2, 3)
        a_scales = functional.pad(a_scale, (0, slab - rank))
        yield Stack(tuple(paths), wide, tuple(part[:, None] for part in (all_a, all_b, a_scales, b_scale)))


def rounded(matrices: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns `matrices` `[n, rows, columns]` rounded to integers, and each row's scale."""
    matrices = matrices.float()
    most = matrices.abs().amax(2)
    scale = torch.where(most > 0, most / MOST_INTEGER[dtype], 1.0)
    return (matrices / scale[..., None]).round_().to(dtype), scale


def _pairs(numbers: torch.Tensor) -> torch.Tensor:
    """Returns pairs of integers `[…, 2]` as `[…]` of twice the width, to be moved as one."""
    return numbers.view(_TWICE[numbers.dtype]).squeeze(-1)


def _shape(module: ModuleWeights) -> tuple[int, int]:
    return module.a.shape[1], module.b.shape[0]
