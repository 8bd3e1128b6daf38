"""The adapters' weights on the device, in slabs of equal rank, and the rows of one step grouped by them.

A slab holds, for each adapted module, A `[slots, in, rank]` and B `[slots, rank, out]`. Neighbouring slots
are neighbours in memory, so one batched matmul serves many adapters without copying a weight (compare the
segmented gather of Punica, arXiv 2310.18547). Ranks are rounded up to a power of two, at least 4.
"""

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from .adapter_files import LoraWeights, ModuleWeights
from .plan import Place

SLAB_SLOTS = 16
ADAPTER_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}


def slab_rank(rank: int) -> int:
    """Returns the rank of the slab in which an adapter of `rank` lies.

    >>> [slab_rank(rank) for rank in (1, 4, 5, 16, 129)]
    [4, 4, 8, 16, 256]
    """
    return max(4, 1 << (rank - 1).bit_length())


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
        slab = self.slabs[number] = Slab(rank, self._slab_slots)
        return Place(number, slab.free.pop())

    def _fill(self, slab: Slab, place: Place, weights: LoraWeights) -> None:
        with self._lock:
            for path in weights.modules.keys() - slab.weights.keys():
                slab.weights[path] = self._allocate(path, slab)
        for path, pair in list(slab.weights.items()):
            self._write(pair, place.index, weights.modules.get(path))

    def _allocate(self, path: str, slab: Slab) -> AdapterPair:
        wide, tall = self.shapes[path]
        a, b = self._zeros(slab.slots, wide, slab.rank), self._zeros(slab.slots, slab.rank, tall)
        if self.dtype is not torch.int8:
            return AdapterPair(a, b)
        scales = (torch.zeros(slab.slots, size, device=self._device) for size in (slab.rank, tall))
        return AdapterPair(a, b, *scales)

    def _zeros(self, *size: int) -> torch.Tensor:
        return torch.zeros(*size, dtype=self.dtype, device=self._device)

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
