"""One step's LoRA work on CUDA: tiles of tokens by adapter, and the launches for a group of linears."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import torch
import triton.language as tl

from parfocal.engine.backends.cuda.lora.kernels import expand, shrink
from parfocal.engine.backends.cuda.lora.page_store import PageStore
from parfocal.engine.backends.cuda.products import product_type
from parfocal.engine.backends.cuda.sending import Send
from parfocal.engine.lora import LoraWork
from parfocal.engine.scheduling import LaidRow, Segment, merge

# Tokens in a tile: the smallest that tensor cores multiply, and the size for long prompts.
SHORT, LONG = 16, 64
# What a launch more costs where rows share adapters, and sums that it reads and writes once more: as much as
# reading the matrices of so many rows, and of one row in so many.
_LAUNCH_ROWS, _SUMS_SHARE = 16, 4
_BASE = -1
_RANKS = 16
# Measured on an H100 for short tiles: 256 outputs are the fastest.
_OUTPUTS_AT_ONCE = {SHORT: 256, LONG: 64}
# How a row's sums are cut, in tiles of every size, so that a neighbour's long prompt changes no bit: into
# parts, which are enough to give every multiprocessor something to read in a decode step, and what a program
# multiplies at once, of which more would not fit into it.
_PART_INPUTS = 1024
_MOST_PARTS = 16
_BYTES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Tiles:
    """`table` `[tiles, 3]` int32 says of each tile its adapter's place, first token and number of tokens.

    A place of -1 is an empty tile. `size` is the most tokens of a tile. `places` `[tokens]` int32 are the
    adapters' places by token, -1 for the base; None in long tiles. `shared` tells that so many tokens have
    one adapter that it is expanded in tiles where there are many outputs.
    """

    table: torch.Tensor
    size: int
    places: torch.Tensor | None = None
    shared: bool = False

    @property
    def count(self) -> int:
        """How many tiles there are, empty ones included."""
        return len(self.table)


def tile_rows(segments: Sequence[Segment], size: int) -> list[tuple[int, int, int]]:
    """Returns (place, first token, tokens) of tiles of at most `size` neighbouring tokens of one adapter.

    Base tokens are in no tile, so they cost nothing.
    """
    return [
        (segment.place.index, start, min(size, segment.end - start))
        for segment in merge(segments)
        for start in range(segment.start, segment.end, size)
    ]


def tiles_of(segments: Sequence[Segment], send: Send, *, short: bool = False) -> Tiles:
    """Returns a step's tiles, of the size that suits its longest segment.

    The order of a row's sums is the same in both sizes, but devices multiply them by different instructions:
    with `short` there is only the smaller one.
    """
    longest = max((segment.tokens for segment in merge(segments)), default=0)
    size = LONG if longest > 2 * SHORT and not short else SHORT
    rows = tile_rows(segments, size)
    return Tiles(send(torch.tensor(rows, dtype=torch.int32).view(-1, 3)), size)


def place_of(item: LaidRow) -> int:
    """The place of a row's adapter; -1 for the base."""
    return _BASE if item.row.place is None else item.row.place.index


def is_shared(tokens: int, adapters: int) -> bool:
    """Whether so few adapters serve so many tokens that reading each once in a tile saves more than it costs.

    >>> [is_shared(tokens, 1) for tokens in (8, 21, 22, 64)], is_shared(64, 33)
    ([False, False, True, True], False)
    """
    return tokens - adapters >= _LAUNCH_ROWS + tokens // _SUMS_SHARE


def places_of(laid: Sequence[LaidRow], send: Send) -> torch.Tensor:
    """Each token's adapter's place, `[tokens]` int32; -1 for the base."""
    places = [place_of(item) for item in laid for _ in range(item.tokens)]
    return send(torch.tensor(places, dtype=torch.int32))


def padded(rows: Sequence[tuple[int, int, int]], count: int) -> torch.Tensor:
    """Returns tiles as `[count, 3]` on the CPU, padded with empty ones."""
    return torch.tensor([*rows, *[(_BASE, 0, 0)] * (count - len(rows))], dtype=torch.int32).view(-1, 3)


def inputs_at_once(dtype: torch.dtype) -> int:
    """Returns how many of a row's inputs are multiplied at once."""
    return _BYTES_AT_ONCE // dtype.itemsize


def outputs_at_once(size: int) -> int:
    """Returns how many outputs one program takes at once, for tiles of `size`."""
    return _OUTPUTS_AT_ONCE[size]


def parts_of(inputs: int) -> int:
    """Returns into how many parts a row's input is cut."""
    return min(_MOST_PARTS, max(1, inputs // _PART_INPUTS))


@dataclass(frozen=True, slots=True)
class Shrunk:
    """x Aᵀ of a group's linears, for the next operation to expand and to add.

    `h` is `[parts, linears, tokens, ranks]`; `places` `[tokens]` int32 are the adapters' places; `first` is
    the first linear's column in the store's table.
    """

    h: torch.Tensor
    store: PageStore
    places: torch.Tensor
    first: int

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """What `expanded_row` reads."""
        return self.h, self.store.weights, self.store.scales, self.store.table, self.places

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The linears of an adapter, the first one's column, and the ranks that there is room for."""
        return len(self.store.order), self.first, self.h.shape[3]

    @property
    def is_scaled(self) -> bool:
        """Whether matrices are integers with scales."""
        return not self.store.dtype.is_floating_point


@dataclass(frozen=True, slots=True)
class ShrinkLaunch:
    """What `shrink_tile` needs, as so many programs, besides the input; and what it will have stored."""

    programs: int
    arguments: tuple[object, ...]
    constants: Mapping[str, object]
    shrunk: Shrunk


class Adapters(Enum):
    """What a step has of adapters, so far as its launches depend on it."""

    NONE = "none"
    BY_ROW = "by row"
    SHARED = "shared"


class CudaLora(LoraWork):
    """Adds the adapters' part to linears' outputs; `ranks` is the highest rank that may come."""

    def __init__(self, store: PageStore, tiles: Tiles, ranks: int) -> None:
        self._store = store
        self._tiles = tiles
        self._ranks = -(-ranks // _RANKS) * _RANKS

    def add_to(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        """Adds the adapters' part to `y` `[…, tokens, out]` in place, from `x` `[…, tokens, in]`."""
        self.add_to_group([y], x, (path,))

    def add_to_group(self, ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str]) -> None:
        """Does so for up to three linears on the same `x`, whose columns in the store's table are neighbours.

        Raises what Triton raises where a kernel cannot be built or launched.
        """
        if self._tiles.count == 0:
            return
        rows = x.reshape(-1, x.shape[-1])
        outs = [y.view(-1, y.shape[-1]) for y in ys]
        # Long tiles keep every multiprocessor busy without.
        splits = parts_of(rows.shape[1]) if self._tiles.size == SHORT else 1
        h = torch.empty((splits, len(outs), len(rows), self._ranks), dtype=torch.float32, device=x.device)
        self._shrink(rows, h, paths)
        self._expand(outs, h, paths, product_type(x))

    @property
    def by_row(self) -> bool:
        """Whether the next operation may expand, token by token, what shrinking leaves."""
        return self._tiles.places is not None and self._tiles.size == SHORT

    @property
    def shared(self) -> bool:
        """Whether so many tokens have one adapter that `expand` is faster where there are many outputs."""
        return self._tiles.shared

    def shrinking(self, x: torch.Tensor, paths: Sequence[str]) -> ShrinkLaunch:
        """What computes x Aᵀ of neighbouring linears for `x` `[tokens, inputs]`, and room for it.

        `shrink` runs it, or a kernel that does something else besides; only where `by_row`.
        """
        store, tiles = self._store, self._tiles
        assert tiles.places is not None
        splits, linears = parts_of(x.shape[1]), len(paths)
        h = torch.empty((splits, linears, len(x), self._ranks), dtype=torch.float32, device=x.device)
        first, modules = store.order[paths[0]], len(store.order)
        return ShrinkLaunch(
            programs=tiles.count * linears * splits,
            arguments=(
                store.weights,
                store.table,
                tiles.table,
                h,
                x.shape[1],
                modules,
                first,
                self._ranks,
                tiles.count,
            ),
            constants={
                "LINEARS": linears,
                "PARTS": splits,
                "SHORT": SHORT,
                "K": inputs_at_once(x.dtype),
                "R": _RANKS,
            },
            shrunk=Shrunk(h, store, tiles.places, first),
        )

    def shrink(self, x: torch.Tensor, launch: ShrinkLaunch, paths: Sequence[str]) -> Shrunk:
        """Runs what `shrinking` has prepared for `x` and the linears at `paths`."""
        self._shrink(x, launch.shrunk.h, paths)
        return launch.shrunk

    def expand(
        self, ys: Sequence[torch.Tensor], shrunk: Shrunk, paths: Sequence[str], x: torch.Tensor
    ) -> None:
        """Adds to each linear's `ys` `[tokens, outputs]`, in tiles, what has been `shrunk` from `x`."""
        self._expand(ys, shrunk.h, paths, product_type(x))

    def _shrink(self, x: torch.Tensor, h: torch.Tensor, paths: Sequence[str]) -> None:
        store, tiles = self._store, self._tiles
        splits, linears, tokens, ranks = h.shape
        shrink[(tiles.count, linears, splits)](
            x,
            store.weights,
            store.table,
            tiles.table,
            h,
            tokens,
            x.shape[1],
            len(store.order),
            store.order[paths[0]],
            x.stride(0),
            ranks,
            PARTS=parts_of(x.shape[1]),
            SPLITS=splits,
            DOT=product_type(x),
            M=tiles.size,
            K=inputs_at_once(x.dtype),
            R=_RANKS,
        )

    def _expand(
        self, ys: Sequence[torch.Tensor], h: torch.Tensor, paths: Sequence[str], dot: tl.dtype
    ) -> None:
        store, tiles = self._store, self._tiles
        splits, linears, tokens, ranks = h.shape
        three = [*ys, *[ys[0]] * (3 - len(ys))]
        width = outputs_at_once(tiles.size)
        blocks = -(-max(y.shape[1] for y in ys) // width)
        expand[(tiles.count, linears, blocks)](
            h,
            store.weights,
            store.scales,
            store.table,
            tiles.table,
            *three,
            *(y.shape[1] for y in three),
            *(y.stride(0) for y in three),
            tokens,
            len(store.order),
            store.order[paths[0]],
            ranks,
            SPLITS=splits,
            SCALED=not store.dtype.is_floating_point,
            DOT=dot,
            M=tiles.size,
            N=width,
            R=_RANKS,
        )
