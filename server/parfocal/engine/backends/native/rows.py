"""A step's rows as native kernels see them: contexts in the cache, adapters' weights, and logits."""

import weakref
from array import array
from collections.abc import Mapping, Sequence
from ctypes import c_char_p
from dataclasses import dataclass
from typing import Any

import torch

from parfocal.engine.backends.native.library import Library
from parfocal.engine.backends.native.structs import PairStruct, SlabStruct, array_of
from parfocal.engine.lora import AdapterPair, Slab
from parfocal.engine.model import KvCache
from parfocal.engine.sampling import PlainLikeliest
from parfocal.engine.scheduling import LaidRow, Segment, merge, written_places

# `AdapterNumbers` in lora.h.
ADAPTER_NUMBERS = {torch.float32: 0, torch.bfloat16: 1, torch.int16: 2, torch.int8: 3}
# The kernel takes this many rows of one adapter at once.
_ROWS = 8
_BITS = 8  # of a byte


@dataclass(frozen=True, slots=True)
class Contexts:
    """What each token of a step attends to.

    `written` `[tokens]` is where its key and value go, `rows` `[tokens]` whose table it uses, `lengths`
    `[tokens]` how much of its context it sees; `tables` `[rows, most blocks]` are the rows' blocks.
    """

    written: torch.Tensor
    tables: torch.Tensor
    rows: torch.Tensor
    lengths: torch.Tensor


def contexts_of(laid: Sequence[LaidRow], cache: KvCache) -> Contexts:
    """Returns the contexts of a step's tokens, in the flat batch's order."""
    most = max(len(item.row.blocks) for item in laid)
    tables = [(*item.row.blocks, *[0] * (most - len(item.row.blocks))) for item in laid]
    return Contexts(
        written=torch.tensor(written_places(laid, cache.block_tokens)),
        tables=torch.tensor(tables),
        rows=torch.tensor([number for number, item in enumerate(laid) for _ in range(item.tokens)]),
        lengths=torch.tensor([at + 1 for i in laid for at in range(i.row.start, i.length)]),
    )


def adapter_rows(found: Sequence[Segment], slabs: Mapping[int, int]) -> torch.Tensor:
    """Returns `[works, 4]`: slab by `slabs`, slot, first row, number of rows (at most eight)."""
    return torch.tensor(
        [
            (slabs[s.place.slab], s.place.index, start, min(_ROWS, s.end - start))
            for s in merge(found)
            for start in range(s.start, s.end, _ROWS)
        ],
        dtype=torch.int64,
    )


def pair_struct(pair: AdapterPair | None) -> PairStruct:
    """Returns where a module's weights lie; null where the slab has none."""
    if pair is None:
        return PairStruct()
    scales = (None if part is None else part.data_ptr() for part in (pair.a_scale, pair.b_scale))
    return PairStruct(pair.a.data_ptr(), pair.b.data_ptr(), *scales)


@dataclass(frozen=True, slots=True)
class _Table:
    """A slab's table, for as many modules as the slab had when it was made.

    It does not keep the slab: one that is empty gives its memory back at once, not when others are used.
    """

    slab: "weakref.ref[Slab]"
    modules: int
    struct: SlabStruct


class SlabTables:
    """Caches a table for each slab. A slab only ever gains modules, so their number shows if it is stale."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._tables: dict[int, _Table] = {}
        self._array: Any = None

    def of(self, slabs: Mapping[int, Slab]) -> Any:
        """Returns the C array of the slabs' tables, in the mapping's order."""
        tables = {number: self._table(number, slab) for number, slab in slabs.items()}
        if [*map(id, tables.values())] != [*map(id, self._tables.values())]:
            self._tables = tables
            self._array = array_of(SlabStruct, (table.struct for table in tables.values()))
        return self._array

    def _table(self, number: int, slab: Slab) -> _Table:
        modules = len(slab.weights)
        known = self._tables.get(number)
        if known is not None and known.slab() is slab and known.modules == modules:
            return known
        pairs = array_of(PairStruct, (pair_struct(slab.weights.get(path)) for path in self._paths))
        some = next(iter(slab.weights.values()))
        return _Table(weakref.ref(slab), modules, SlabStruct(pairs, slab.rank, ADAPTER_NUMBERS[some.a.dtype]))


class NativeLikeliest:
    """Finds what `PlainLikeliest` finds, which is left what lies otherwise than the kernel reads."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._plain = PlainLikeliest()

    def of_all(self, logits: torch.Tensor) -> torch.Tensor:
        """The likeliest token of each row."""
        if not _is_readable(logits):
            return self._plain.of_all(logits)
        rows, width = logits.shape
        found = torch.empty(rows, dtype=torch.int64)
        self._library.likeliest(logits.data_ptr(), None, None, rows, width, found.data_ptr())
        return found

    def of_allowed(self, logits: torch.Tensor, allowed: Mapping[int, bytes], chosen: torch.Tensor) -> None:
        """The likeliest allowed tokens. Raises ValueError where there are fewer bits than tokens."""
        if not _is_readable(logits):
            self._plain.of_allowed(logits, allowed, chosen)
            return
        count, width = len(allowed), logits.shape[-1]
        if min(map(len, allowed.values()), default=width) * _BITS < width:
            raise ValueError(f"a row's bits are fewer than its {width} logits")
        rows, bits = array("q", allowed), (c_char_p * count)(*allowed.values())
        address, _ = rows.buffer_info()
        self._library.likeliest(logits.data_ptr(), address, bits, count, width, chosen.data_ptr())


def _is_readable(logits: torch.Tensor) -> bool:
    return logits.dtype is torch.float32 and logits.device.type == "cpu" and logits.is_contiguous()
