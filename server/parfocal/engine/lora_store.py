"""The adapters' weights on the device, in slabs of equal rank, and the rows of one step grouped by them.

A slab holds, for each adapted module, A `[slots, in, rank]` and B `[slots, rank, out]`. Neighbouring slots
are neighbours in memory, so one batched matmul serves many adapters without copying a weight (compare the
segmented gather of Punica, arXiv 2310.18547). Slabs are sized by bytes: 16 slots of small ranks, one of large
ones, so that no adapter that stays alone in its slab keeps more memory than one of the largest rank.
"""

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from .adapter_files import LoraWeights, ModuleWeights
from .memory_budget import SlabSize
from .plan import Place

SLAB_SLOTS = 16
ADAPTER_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}

# Slots times rank of a slab: what 16 adapters of rank 16 take, and one of rank 256.
_SLAB_RANKS = 256
# An adapter of a higher rank has a slab to itself; none of its neighbours could share much of a matmul.
_SHARED_RANK = 64
_RANK_STEP = 16


def slab_rank(rank: int) -> int:
    """Returns the rank of the slab in which an adapter of `rank` lies.

    Up to 64 a power of two, at least 4, so that neighbours share a slab; above, a multiple of 16.

    >>> [slab_rank(rank) for rank in (1, 4, 5, 16, 33, 65, 129)]
    [4, 4, 8, 16, 64, 80, 144]
    """
    if rank > _SHARED_RANK:
        return -(-rank // _RANK_STEP) * _RANK_STEP
    return max(4, 1 << (rank - 1).bit_length())


def slots_in_slab(rank: int, most: int = SLAB_SLOTS) -> int:
    """Returns how many slots a slab of `rank` has.

    >>> [slots_in_slab(rank) for rank in (4, 16, 32, 64, 80, 256)]
    [16, 16, 8, 4, 1, 1]
    """
    return 1 if rank > _SHARED_RANK else min(most, _SLAB_RANKS // rank)


def slab_sizes(
    shapes: Mapping[str, tuple[int, int]], dtype: torch.dtype, max_rank: int, most_slots: int = SLAB_SLOTS
) -> list[SlabSize]:
    """Returns the size of a slab of each rank up to `max_rank` in which every module is adapted.

    Tensors on the meta device have sizes and no memory.
    """
    nowhere = torch.device("meta")
    sizes = []
    for rank in sorted({slab_rank(rank) for rank in range(1, max_rank + 1)}):
        slots = slots_in_slab(rank, most_slots)
        pairs = (_new_pair(shape, slots, rank, dtype, nowhere) for shape in shapes.values())
        sizes.append(SlabSize(slots, sum(pair.size_bytes for pair in pairs)))
    return sizes


@dataclass(frozen=True, slots=True)
class AdapterPair:
    """One module's matrices for all slots of a slab: A `[slots, in, rank]` and B `[slots, rank, out]`.

    In 8 bit each column, which is a row of the adapter's own matrix, has a scale: `[slots, rank]` and
    `[slots, out]`; otherwise both are None.
    """

    a: torch.Tensor
    b: torch.Tensor
    a_scale: torch.Tensor | None = None
    b_scale: torch.Tensor | None = None

    @property
    def size_bytes(self) -> int:
        """Returns the bytes of all slots."""
        return sum(part.nbytes for part in (self.a, self.b, self.a_scale, self.b_scale) if part is not None)

    def whole(self, index: slice, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns A and B of some slots as numbers of `dtype`."""
        a, b = self.a[index].to(dtype), self.b[index].to(dtype)
        if self.a_scale is None or self.b_scale is None:
            return a, b
        return a * self.a_scale[index, None].to(dtype), b * self.b_scale[index, None].to(dtype)


class Slab:
    """Slots of one rank. Modules that no adapter here adapts take no memory."""

    def __init__(self, rank: int, slots: int) -> None:
        self.rank = rank
        self.slots = slots
        self.weights: dict[str, AdapterPair] = {}
        self.free = list(range(slots - 1, -1, -1))


class LoraStore:
    """All slabs. `put` and `free` may be called on any thread; reading happens on the step thread."""

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        dtype: torch.dtype,
        device: torch.device,
        slab_slots: int = SLAB_SLOTS,
    ) -> None:
        self.shapes = shapes
        self.dtype = dtype
        self.slabs: dict[int, Slab] = {}
        self._device = device
        self._slab_slots = slab_slots
        self._lock = threading.Lock()

    @property
    def read_dtype(self) -> torch.dtype:
        """Returns the type in which `put` wants an adapter's numbers."""
        return self.dtype if self.dtype.is_floating_point else torch.float32

    def put(self, weights: LoraWeights) -> Place:
        """Copies an adapter to a free place and returns it; adds a slab if all of its rank are full.

        Raises what the device raises when its memory is full; nothing is taken then.
        """
        rank = slab_rank(weights.rank)
        with self._lock:
            place = self._claim(rank)
            slab = self.slabs[place.slab]
        with ExitStack() as unless_filled:
            unless_filled.callback(self.free, place)
            self._fill(slab, place, weights)
            unless_filled.pop_all()
        return place

    def free(self, place: Place) -> None:
        """Makes the place available; an empty slab gives its memory back."""
        with self._lock:
            slab = self.slabs[place.slab]
            assert place.index not in slab.free, f"{place} was freed twice"
            slab.free.append(place.index)
            slab.free.sort(reverse=True)
            if len(slab.free) == slab.slots:
                del self.slabs[place.slab]

    @property
    def size_bytes(self) -> int:
        """Returns the bytes that all slabs take on the device, used or not."""
        with self._lock:
            pairs = [pair for slab in self.slabs.values() for pair in slab.weights.values()]
        return sum(pair.size_bytes for pair in pairs)

    @property
    def places_used(self) -> int:
        """Returns how many places hold an adapter."""
        with self._lock:
            return sum(slab.slots - len(slab.free) for slab in self.slabs.values())

    def _claim(self, rank: int) -> Place:
        for number, slab in self.slabs.items():
            if slab.rank == rank and slab.free:
                return Place(number, slab.free.pop())
        number = next(n for n in range(len(self.slabs) + 1) if n not in self.slabs)
        slab = self.slabs[number] = Slab(rank, slots_in_slab(rank, self._slab_slots))
        return Place(number, slab.free.pop())

    def _fill(self, slab: Slab, place: Place, weights: LoraWeights) -> None:
        with self._lock:
            for path in weights.modules.keys() - slab.weights.keys():
                slab.weights[path] = _new_pair(
                    self.shapes[path], slab.slots, slab.rank, self.dtype, self._device
                )
        for path, pair in list(slab.weights.items()):
            self._write(pair, place.index, weights.modules.get(path))

    def _write(self, pair: AdapterPair, index: int, module: ModuleWeights | None) -> None:
        """Fills one slot of one module; what the adapter lacks becomes zero."""
        a, b = pair.a[index], pair.b[index]
        if module is None:
            a.zero_()
            b.zero_()
            return
        rank = module.a.shape[0]
        if pair.a_scale is None or pair.b_scale is None:
            own_a, own_b = module.a.T, module.b.T
        else:
            own_a, a_scale = _in_8_bit(module.a)
            own_b, b_scale = _in_8_bit(module.b)
            pair.a_scale[index, :rank].copy_(a_scale)
            pair.b_scale[index].copy_(b_scale)
        a[:, :rank].copy_(own_a)
        a[:, rank:].zero_()
        b[:rank].copy_(own_b)
        b[rank:].zero_()


def _in_8_bit(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the transposed matrix as integers and a scale for each row of the original."""
    most = matrix.abs().amax(1).float()
    scale = torch.where(most > 0, most / 127, 1.0)
    return (matrix.float() / scale[:, None]).round_().to(torch.int8).T, scale


def _new_pair(
    shape: tuple[int, int], slots: int, rank: int, dtype: torch.dtype, device: torch.device
) -> AdapterPair:
    wide, tall = shape
    a = torch.zeros(slots, wide, rank, dtype=dtype, device=device)
    b = torch.zeros(slots, rank, tall, dtype=dtype, device=device)
    if dtype is not torch.int8:
        return AdapterPair(a, b)
    scales = (torch.zeros(slots, size, device=device) for size in (rank, tall))
    return AdapterPair(a, b, *scales)
