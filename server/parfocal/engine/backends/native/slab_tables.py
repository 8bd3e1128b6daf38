"""Where the weights of each slab lie, module by module, for the native decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parfocal.engine.backends.native.step_work import ADAPTER_NUMBERS, pair_struct
from parfocal.engine.backends.native.structs import PairStruct, SlabStruct, array_of
from parfocal.engine.lora import Slab


@dataclass(frozen=True, slots=True)
class _Table:
    """A slab's table, for as many modules as the slab had when it was made."""

    slab: Slab
    modules: int
    struct: SlabStruct


class SlabTables:
    """Keeps a table for each slab. A slab only ever gains modules, so their number tells if it is fresh."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._tables: dict[int, _Table] = {}

    def of(self, slabs: Mapping[int, Slab]) -> Any:
        """Returns the C array of the slabs' tables, in the mapping's order."""
        self._tables = {number: self._table(number, slab) for number, slab in slabs.items()}
        return array_of(SlabStruct, (table.struct for table in self._tables.values()))

    def _table(self, number: int, slab: Slab) -> _Table:
        modules = len(slab.weights)
        known = self._tables.get(number)
        if known is not None and known.slab is slab and known.modules == modules:
            return known
        pairs = array_of(PairStruct, (pair_struct(slab.weights.get(path)) for path in self._paths))
        some = next(iter(slab.weights.values()))
        return _Table(slab, modules, SlabStruct(pairs, slab.rank, ADAPTER_NUMBERS[some.a.dtype]))
