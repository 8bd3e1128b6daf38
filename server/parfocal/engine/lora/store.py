"""The adapters' weights on the device, in slabs of equal rank.

A slab holds, for each adapted module, A `[slots, in, rank]` and B `[slots, rank, out]`. Neighbouring slots
are neighbours in memory, so one batched matmul serves many adapters without copying a weight (compare the
segmented gather of Punica, arXiv 2310.18547). Slabs are sized by bytes: 16 slots of small ranks, one of large
ones, so that an adapter alone in its slab never holds more memory than one of the largest rank.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

from parfocal.engine.adapters import Place
from parfocal.engine.lora.adapter_files import LoraWeights
from parfocal.engine.lora.copies import Copies, PlainCopies
from parfocal.engine.lora.layout import SHARED_RANK, LaidAdapter, Stack, lay_out, pair_shapes, slab_rank
from parfocal.engine.lora.layout import AdapterPair as AdapterPair

SLAB_SLOTS = 16
ADAPTER_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "int16": torch.int16,
    "int8": torch.int8,
}

# A slab's slots times its rank: 16 adapters of rank 16, or one of rank 256.
_SLAB_RANKS = 256


@dataclass(frozen=True, slots=True)
class SlabSize:
    """How many adapters of one rank are allocated together, and their bytes in total."""

    slots: int
    size_bytes: int


def slots_in_slab(rank: int, most: int = SLAB_SLOTS) -> int:
    """Returns how many slots a slab of `rank` has.

    >>> [slots_in_slab(rank) for rank in (4, 16, 32, 64, 80, 256)]
    [16, 16, 8, 4, 1, 1]
    """
    return 1 if rank > SHARED_RANK else min(most, _SLAB_RANKS // rank)


def slab_sizes(
    shapes: Mapping[str, tuple[int, int]], dtype: torch.dtype, max_rank: int, most_slots: int = SLAB_SLOTS
) -> list[SlabSize]:
    """Returns the size of a slab of each rank up to `max_rank`, with every module adapted.

    Tensors on the meta device have sizes and no memory.
    """
    nowhere = torch.device("meta")
    sizes = []
    for rank in sorted({slab_rank(rank) for rank in range(1, max_rank + 1)}):
        slots = slots_in_slab(rank, most_slots)
        stacks = (_new_stack(("",), shape, Slab(rank, slots), dtype, nowhere) for shape in shapes.values())
        sizes.append(SlabSize(slots, sum(stack.size_bytes for stack in stacks)))
    return sizes


def adapter_bytes_at_worst(slabs: Iterable[SlabSize], slots: int) -> int:
    """Returns a bound on the bytes of slabs of any ranks with at most `slots` adapters on the device.

    A slab is added when all others of its rank are full, so there are never more of one rank than all
    adapters would fill. Later each may be kept by a single adapter while newcomers fill slabs of another
    rank: there are never more slabs than adapters, and at worst all are of the largest size.
    """
    left, total = slots, 0
    for slab in sorted(slabs, key=lambda slab: slab.size_bytes, reverse=True):
        count = min(left, -(-slots // slab.slots))
        total += count * slab.size_bytes
        left -= count
    return total


class Slab:
    """Slots of one rank. Modules that no adapter in it adapts take no memory.

    `stacks` has those that came together, of one shape each, by their paths; `weights` all of them, singly.
    `growing` is held while modules are added: two threads adding them at once would take twice the memory.
    """

    def __init__(self, rank: int, slots: int) -> None:
        self.rank = rank
        self.slots = slots
        self.weights: dict[str, AdapterPair] = {}
        self.stacks: dict[tuple[str, ...], Stack] = {}
        self.free = list(range(slots - 1, -1, -1))
        self.growing = threading.Lock()


class LoraStore:
    """All slabs. `put` and `free` may be called on any thread; reading happens on the step thread.

    `copies` brings weights to the device; None means plain copies.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, int]],
        dtype: torch.dtype,
        device: torch.device,
        slab_slots: int = SLAB_SLOTS,
        copies: Copies | None = None,
    ) -> None:
        self.shapes = shapes
        self.dtype = dtype
        self.slabs: dict[int, Slab] = {}
        self._device = device
        self._slab_slots = slab_slots
        self._copies = copies or PlainCopies()
        # Never held while the device works, because the step thread takes it.
        self._lock = threading.Lock()

    @property
    def read_dtype(self) -> torch.dtype:
        """The type in which `put` wants an adapter's numbers."""
        return self.dtype if self.dtype.is_floating_point else torch.float32

    def lay_out(self, weights: LoraWeights) -> LaidAdapter:
        """Returns the adapter in host memory, laid out as in a slot."""
        return lay_out(weights, self.dtype)

    def put(self, weights: LoraWeights) -> Place:
        """Lays an adapter out and copies it to a free place."""
        return self.copy_in(self.lay_out(weights))

    def copy_in(self, adapter: LaidAdapter) -> Place:
        """Copies an adapter to a free place and returns that; adds a slab if all of its rank are full.

        Raises what the device raises when its memory is full, having taken nothing.
        """
        with self._claimed(adapter.slab_rank) as (slab, place):
            self._grow(slab, adapter)
            self._fill(slab, place, adapter)
        return place

    def free(self, place: Place) -> None:
        """Frees the place; an empty slab releases its memory."""
        with self._lock:
            slab = self.slabs[place.slab]
            assert place.index not in slab.free, f"{place} was freed twice"
            slab.free.append(place.index)
            slab.free.sort(reverse=True)
            if len(slab.free) == slab.slots:
                del self.slabs[place.slab]

    @property
    def size_bytes(self) -> int:
        """The size of all slabs on the device, used or not."""
        with self._lock:
            pairs = [pair for slab in self.slabs.values() for pair in slab.weights.values()]
        return sum(pair.size_bytes for pair in pairs)

    @property
    def places_used(self) -> int:
        """How many places hold an adapter."""
        with self._lock:
            return sum(slab.slots - len(slab.free) for slab in self.slabs.values())

    @contextmanager
    def _claimed(self, rank: int) -> Iterator[tuple[Slab, Place]]:
        """Yields a free place and its slab; takes the place back if the scope fails."""
        with self._lock:
            place = self._claim(rank)
            slab = self.slabs[place.slab]
        with ExitStack() as unless_filled:
            unless_filled.callback(self.free, place)
            yield slab, place
            unless_filled.pop_all()

    def _claim(self, rank: int) -> Place:
        for number, slab in self.slabs.items():
            if slab.rank == rank and slab.free:
                return Place(number, slab.free.pop())
        number = next(n for n in range(len(self.slabs) + 1) if n not in self.slabs)
        slab = self.slabs[number] = Slab(rank, slots_in_slab(rank, self._slab_slots))
        return Place(number, slab.free.pop())

    def _grow(self, slab: Slab, adapter: LaidAdapter) -> None:
        """Adds the adapter's modules that a slab lacks, with zeros in every slot."""
        with slab.growing:
            missing = adapter.modules.keys() - slab.weights.keys()
            if not missing:
                return
            together = [stack.paths for stack in adapter.stacks if missing.issuperset(stack.paths)]
            alone = missing.difference(*together)
            new = [
                _new_stack(paths, self.shapes[paths[0]], slab, self.dtype, self._device)
                for paths in [*together, *((path,) for path in alone)]
            ]
            # Before a step can see them, since it may read all slots of the slab.
            self._copies.zero([part for stack in new for part in stack.parts])
            with self._lock:
                for stack in new:
                    slab.stacks[stack.paths] = stack
                    slab.weights.update(stack.pairs())

    def _fill(self, slab: Slab, place: Place, adapter: LaidAdapter) -> None:
        with self._lock:
            pairs, stacks = list(slab.weights.items()), dict(slab.stacks)
        unused: list[torch.Tensor] = []
        targets: list[torch.Tensor] = []
        sources: list[torch.Tensor] = []
        filled: set[str] = set()
        for laid in adapter.stacks:
            if (stack := stacks.get(laid.paths)) is not None:
                targets += [part[:, place.index] for part in stack.parts]
                sources += [part[:, 0] for part in laid.parts]
                filled.update(laid.paths)
        for path, pair in pairs:
            if path in filled:
                continue
            slot = [part[place.index] for part in pair.parts]
            if path in adapter.modules:
                targets += slot
                sources += [part[0] for part in adapter.modules[path].parts]
            else:
                unused += slot
        if unused:
            self._copies.zero(unused)
        self._copies.copy(targets, sources)


def _new_stack(
    paths: tuple[str, ...], shape: tuple[int, int], slab: Slab, dtype: torch.dtype, device: torch.device
) -> Stack:
    """Matrices of modules of one shape for all slots of a slab; what they hold is not written yet."""
    wide, tall = shape
    shapes = pair_shapes(shape, slab.slots, slab.rank, dtype)
    parts = [torch.empty(len(paths), *each, dtype=dtype, device=device) for each in shapes]
    if not dtype.is_floating_point:
        parts += [torch.empty(len(paths), slab.slots, size, device=device) for size in (slab.rank, tall)]
    return Stack(paths, wide, tuple(parts))
