"""What a decode step reads, in tensors at fixed addresses, where a captured graph expects them."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from parfocal.engine.backends.cuda.lora import SHORT, Tiles, padded, place_of, tile_rows
from parfocal.engine.scheduling import LaidRow, segments

_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Parts:
    """One int32 tensor's parts, in the order in which they lie; all of them views."""

    ids: torch.Tensor
    positions: torch.Tensor
    written: torch.Tensor
    lengths: torch.Tensor
    places: torch.Tensor
    tiles: torch.Tensor
    blocks: torch.Tensor

    @classmethod
    def of(cls, values: torch.Tensor, rows: int, most_blocks: int) -> "Parts":
        """Returns the parts of `values`, which has `size` numbers."""
        sizes = [rows] * 5 + [3 * rows, rows * most_blocks]
        ids, positions, written, lengths, places, tiles, blocks = values.split(sizes)
        tables = tiles.view(rows, 3), blocks.view(rows, most_blocks)
        return cls(ids, positions, written, lengths, places, *tables)

    @staticmethod
    def size(rows: int, most_blocks: int) -> int:
        """Returns how many numbers all parts have."""
        return rows * (5 + 3 + most_blocks)


class Unseen(NamedTuple):
    """Tokens that only the device knows: row `i` of a step computes `tokens[places[i]]`.

    `tokens` are int64, -1 where a row has none.
    """

    tokens: torch.Tensor
    places: Sequence[int]


@dataclass(frozen=True, slots=True)
class HostSide:
    """A step's inputs in host memory; `listed` are the blocks that stand in each row already."""

    values: torch.Tensor
    parts: Parts
    listed: list[tuple[int, ...]]

    @classmethod
    def of(cls, values: torch.Tensor, rows: int, most_blocks: int) -> "HostSide":
        """Returns inputs without rows in `values`, which has `Parts.size` numbers."""
        parts = Parts.of(values, rows, most_blocks)
        parts.written.fill_(_NOWHERE)
        parts.places.fill_(_NOWHERE)
        parts.tiles.copy_(padded([], rows))
        return cls(values, parts, [()] * rows)


@dataclass(frozen=True, slots=True)
class DecodeInputs:
    """Inputs of at most `rows` rows with one token each, in host memory and on the device, all int32.

    Steps take turns on two `sides` in host memory: one is filled while the other may still wait to be copied.

    `tokens` are the rows' places in the batch: 0, 1, …; these never change. Of the device's parts, `ids`,
    `positions`, `written` (where the token's key and value go; -1 for an empty row), `lengths` (tokens
    attended to; 0 for an empty row) and `places` (-1 for the base and an empty row) are `[rows]`, `blocks`
    `[rows, most blocks]`; `tiles` and `places` as in `Tiles`.
    """

    sides: deque[HostSide]
    device_values: torch.Tensor
    device: Parts
    tokens: torch.Tensor

    @property
    def rows(self) -> int:
        """How many rows there is room for."""
        return len(self.tokens)

    def tiles(self, *, shared: bool) -> Tiles:
        """The rows' tiles on the device; `shared` as in `Tiles`."""
        return Tiles(self.device.tiles, SHORT, self.device.places, shared)

    def fill(self, laid: Sequence[LaidRow], block_tokens: int, unseen: Unseen | None = None) -> None:
        """Writes a step's rows, with one copy to the device; instead of their tokens, those `unseen`.

        The step before the previous one must have ended.
        """
        side = self.sides[0]
        self.sides.rotate()
        host, empty = side.parts, self.rows - len(laid)
        at = [item.row.start for item in laid]
        blocks = [
            tuple(item.row.blocks[: start // block_tokens + 1]) for item, start in zip(laid, at, strict=True)
        ]
        written = [
            own[-1] * block_tokens + start % block_tokens for own, start in zip(blocks, at, strict=True)
        ]
        ids = unseen.places if unseen is not None else [item.row.token_ids[0] for item in laid]
        host.ids.numpy()[:] = [*ids] + [0] * empty
        host.positions.numpy()[:] = at + [0] * empty
        host.written.numpy()[:] = written + [_NOWHERE] * empty
        host.lengths.numpy()[:] = [item.length for item in laid] + [0] * empty
        host.places.numpy()[:] = [place_of(item) for item in laid] + [_NOWHERE] * empty
        host.tiles.copy_(padded(tile_rows(segments([*laid]), SHORT), self.rows))
        listed = host.blocks.numpy()
        for number, own in enumerate(blocks):
            _list(side.listed, number, own, listed[number])
        self.device_values.copy_(side.values, non_blocking=True)
        if unseen is not None:
            there = self.device.ids[: len(laid)]
            # A row that has no token is computed in vain; no row of the embedding has its number.
            there.copy_(unseen.tokens.index_select(0, there).clamp_(min=0))


def _list(
    listed: list[tuple[int, ...]], number: int, own: tuple[int, ...], row: npt.NDArray[np.int32]
) -> None:
    """Writes a row's blocks unless they are there: with long contexts they are most of the values."""
    there = listed[number]
    kept = len(there) if own[: len(there)] == there else 0
    if kept < len(own):
        row[kept : len(own)] = own[kept:]
    listed[number] = own


def decode_inputs(rows: int, most_blocks: int, device_values: torch.Tensor) -> DecodeInputs:
    """Returns inputs for a bucket of `rows`, all rows empty, at the beginning of `device_values` (int32).

    Steps of other buckets may use the same memory: each writes all that it reads.
    """
    size = Parts.size(rows, most_blocks)
    sides = deque(
        HostSide.of(torch.zeros(size, dtype=torch.int32, pin_memory=device_values.is_cuda), rows, most_blocks)
        for _ in range(2)
    )
    there = device_values[:size].copy_(sides[0].values)
    tokens = torch.arange(rows, dtype=torch.int32, device=there.device)
    return DecodeInputs(sides, there, Parts.of(there, rows, most_blocks), tokens)


def input_bytes(rows: int, most_blocks: int) -> int:
    """Returns the bytes that the inputs of steps of up to `rows` rows take on the device."""
    return Parts.size(rows, most_blocks) * torch.int32.itemsize
