"""The adapters' weights on a CUDA device, in pages, and the table by which kernels find each matrix.

A is `[rank, in]` and B `[out, rank]`, as PEFT stores them, so that laying out an adapter means copying it.
B's rows are padded to a multiple of 8, so that whole vectors can be loaded. In 8 bits each row has a scale.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from parfocal.engine.adapters import Place
from parfocal.engine.backends.cuda.lora.page_pool import PagePool, aligned, pack, page_bytes
from parfocal.engine.errors import EngineMisconfigured
from parfocal.engine.lora import Copies, LoraWeights, ModuleWeights, rounded

# A table's entry for one linear of one adapter: where A, B and their scales begin, in units, and the rank.
FIELDS = 5
UNIT = 16
_FLOAT_BYTES = torch.float32.itemsize
_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int8)


@dataclass(frozen=True, slots=True)
class PagedAdapter:
    """An adapter in host memory, laid out as in its pages.

    `entries` `[linears, FIELDS]` counts from the adapter's own first page; `rank` is the highest of its
    modules. Each of `pages` `[bytes]` is page-locked by itself: torch rounds such memory up to a power of
    two, which a page is, and never gives it back, so that equal pieces are what the next adapter can take.
    """

    digest: str
    rank: int
    pages: tuple[torch.Tensor, ...]
    entries: torch.Tensor

    @property
    def size_bytes(self) -> int:
        """The bytes of its pages."""
        return sum(page.nbytes for page in self.pages)


class PageStore:
    """The pool, the table, and the owner of each page. `table` `[slots, linears, FIELDS]` is int64.

    `order` gives each linear's column. `copy_in` and `free` may be called on any thread.
    """

    def __init__(self, order: Sequence[str], store: "StoreShape", room: "Room", copies: Copies) -> None:
        if store.dtype not in _DTYPES:
            known = ", ".join(str(one).removeprefix("torch.") for one in _DTYPES)
            raise EngineMisconfigured(
                f"adapters in {str(store.dtype).removeprefix('torch.')} are for CPUs; on CUDA use {known}",
                field="adapter_dtype",
            )
        self.shapes = store.shapes
        self.dtype = store.dtype
        self.order = {path: column for column, path in enumerate(order)}
        self._page_bytes = store.page_bytes
        self._copies = copies
        self._pool = PagePool(room.size_bytes // self._page_bytes)
        self.bytes = torch.empty(self._pool.count, self._page_bytes, dtype=torch.uint8, device=store.device)
        self.table = torch.zeros(room.slots, len(order), FIELDS, dtype=torch.int64, device=store.device)
        self._owned: dict[int, tuple[int, ...]] = {}
        self._entries: dict[int, list[list[int]]] = {}
        self._lock = threading.Lock()

    @property
    def read_dtype(self) -> torch.dtype:
        """The type in which `lay_out` wants an adapter's numbers."""
        return self.dtype if self.dtype.is_floating_point else torch.float32

    @property
    def weights(self) -> torch.Tensor:
        """The pool `[numbers]` as numbers of the adapters' type."""
        return self.bytes.view(-1).view(self.dtype)

    @property
    def scales(self) -> torch.Tensor:
        """The pool `[numbers]` as float32, in which scales are kept."""
        return self.bytes.view(-1).view(torch.float32)

    @property
    def size_bytes(self) -> int:
        """The size of the pool, used or not."""
        return self.bytes.nbytes

    @property
    def places_used(self) -> int:
        """How many adapters it holds."""
        with self._lock:
            return len(self._owned)

    @property
    def pages_used(self) -> int:
        """How many pages are taken."""
        return self._pool.used

    def lay_out(self, weights: LoraWeights) -> PagedAdapter:
        """Returns the adapter in host memory, page-locked where that makes copies to the device fast."""
        parts = [part for path, module in weights.modules.items() for part in self._parts(path, module)]
        packing = pack([part.tensor.nbytes for part in parts], self._page_bytes)
        pages = tuple(self._new_page() for _ in range(packing.pages))
        entries = torch.zeros(len(self.order), FIELDS, dtype=torch.int64)
        for part, (page, at) in zip(parts, packing.places, strict=True):
            size = part.tensor.nbytes
            pages[page][at : at + size].copy_(part.tensor.view(-1).view(torch.uint8))
            # The offset within the adapter's pages; the page's number is added when it is known.
            entries[part.column, part.field] = page * self._page_bytes + at
        for path, module in weights.modules.items():
            entries[self.order[path], FIELDS - 1] = module.a.shape[0]
        return PagedAdapter(weights.digest, weights.rank, pages, entries)

    def zeros(self, rank: int) -> PagedAdapter:
        """Returns an adapter that adds 0 to every linear, its matrices sharing a page: for measurements."""
        pages = (torch.zeros(self._page_bytes, dtype=torch.uint8),)
        entries = torch.zeros(len(self.order), FIELDS, dtype=torch.int64)
        entries[:, FIELDS - 1] = rank
        return PagedAdapter("zeros", rank, pages, entries)

    def copy_in(self, adapter: PagedAdapter) -> Place:
        """Copies an adapter to free pages and returns its place.

        On failure takes no pages: raises NoRoom if others hold them, AdapterRefused if the pool is too small.
        """
        owned = self._pool.take(len(adapter.pages))
        with self._lock:
            number = next(n for n in range(len(self.table)) if n not in self._owned)
            self._owned[number] = owned
        place = Place(0, number)
        with ExitStack() as unless_copied:
            unless_copied.callback(self.free, place)
            entries = self._located(adapter.entries, owned)
            targets = [self.bytes[page] for page in owned]
            self._copies.copy([*targets, self.table[number]], [*adapter.pages, entries])
            unless_copied.pop_all()
        self._entries[number] = entries.tolist()
        return place

    def free(self, place: Place) -> None:
        """Frees the place and its pages, which no step may use any more."""
        with self._lock:
            owned = self._owned.pop(place.index)
        self._pool.give(owned)

    def matrices(
        self, place: Place, path: str, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Returns a linear's A `[rank, in]` and B `[out, rank]` as numbers of `dtype`; None if not adapted.

        What the kernels read through the table, for callers that use no kernels.
        """
        at_a, at_b, at_a_scale, at_b_scale, rank = self._entries[place.index][self.order[path]]
        if rank == 0:
            return None
        wide, tall = self.shapes[path]
        row = _row(rank)
        a = self.weights[at_a * UNIT :][: rank * wide].view(rank, wide).to(dtype)
        b = self.weights[at_b * UNIT :][: tall * row].view(tall, row)[:, :rank].to(dtype)
        if self.dtype.is_floating_point:
            return a, b
        scales = [self.scales[at * UNIT :][:n, None] for at, n in ((at_a_scale, rank), (at_b_scale, tall))]
        return a * scales[0].to(dtype), b * scales[1].to(dtype)

    def _new_page(self) -> torch.Tensor:
        return torch.zeros(self._page_bytes, dtype=torch.uint8, pin_memory=self._copies.pinned)

    def _parts(self, path: str, module: ModuleWeights) -> list["_Part"]:
        column = self.order[path]
        a, b = module.a, module.b
        if self.dtype.is_floating_point:
            return [_Part(column, 0, a.contiguous()), _Part(column, 1, _filled(b))]
        (whole_a, a_scale), (whole_b, b_scale) = (rounded(matrix[None], self.dtype) for matrix in (a, b))
        return [
            _Part(column, 0, whole_a[0]),
            _Part(column, 1, _filled(whole_b[0])),
            _Part(column, 2, a_scale[0]),
            _Part(column, 3, b_scale[0]),
        ]

    def _located(self, entries: torch.Tensor, owned: Sequence[int]) -> torch.Tensor:
        """Returns `entries` in units from the start of the pool."""
        begins = torch.tensor(owned, dtype=torch.int64) * self._page_bytes
        within = entries[:, :-1]
        at = begins[within // self._page_bytes] + within % self._page_bytes
        itemsizes = torch.tensor([self.dtype.itemsize, self.dtype.itemsize, _FLOAT_BYTES, _FLOAT_BYTES])
        located = torch.cat([at // (UNIT * itemsizes), entries[:, -1:]], 1)
        return located.pin_memory() if self._copies.pinned else located


@dataclass(frozen=True, slots=True)
class StoreShape:
    """What a store must hold: linears of `shapes`, ranks to `max_rank`, numbers of `dtype`, on `device`."""

    shapes: Mapping[str, tuple[int, int]]
    dtype: torch.dtype
    max_rank: int
    device: torch.device

    @property
    def page_bytes(self) -> int:
        """The bytes of a page."""
        return page_bytes(max(self._matrices()))

    @property
    def most_pages(self) -> int:
        """The pages of an adapter of the highest rank on every linear."""
        return pack(self._matrices(), self.page_bytes).pages

    def _matrices(self) -> list[int]:
        numbers = self.dtype.itemsize
        wide = _row(self.max_rank)
        found = []
        for inputs, outputs in self.shapes.values():
            found += [self.max_rank * inputs * numbers, outputs * wide * numbers]
            if not self.dtype.is_floating_point:
                found += [self.max_rank * _FLOAT_BYTES, outputs * _FLOAT_BYTES]
        return [aligned(size) for size in found]


@dataclass(frozen=True, slots=True)
class Room:
    """How many adapters a store may hold, and their bytes in total."""

    slots: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Part:
    """One tensor of an adapter: its linear, and the field of the entry that locates it."""

    column: int
    field: int
    tensor: torch.Tensor


def _row(rank: int) -> int:
    """Returns the numbers that a row of B takes."""
    return -(-rank // 8) * 8


def _filled(b: torch.Tensor) -> torch.Tensor:
    """Returns `b` `[out, rank]` with its rows padded with zeros."""
    return torch.nn.functional.pad(b, (0, _row(b.shape[1]) - b.shape[1])).contiguous()
