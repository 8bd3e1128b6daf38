"""What a decode step reads, in tensors that stay where they are: a captured graph finds its values there."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from parfocal.engine.backends.cuda.lora.step import SHORT, Tiles, padded, tile_rows
from parfocal.engine.scheduling import LaidRow, segments

_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class DecodeInputs:
    """Inputs of at most `rows` rows with one token each, all of them parts of `device_values`, all int32.

    `tokens` are the rows' places in the batch: 0, 1, …; these never change. `ids`, `positions`, `written`
    (where the token's key and value go; -1 for an empty row) and `lengths` (tokens attended to; 0 for an
    empty row) are `[rows]`, `blocks` `[rows, most blocks]`; `tiles` as in `Tiles`. `listed` are the blocks
    that stand in each row already.
    """

    host_values: torch.Tensor
    device_values: torch.Tensor
    tokens: torch.Tensor
    ids: torch.Tensor
    positions: torch.Tensor
    written: torch.Tensor
    lengths: torch.Tensor
    blocks: torch.Tensor
    tiles: Tiles
    listed: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Returns how many rows there is room for."""
        return len(self.ids)

    def fill(self, laid: Sequence[LaidRow], block_tokens: int) -> None:
        """Takes in a step's rows, with one copy to the device. The step before must have ended."""
        empty = self.rows - len(laid)
        at = [item.row.start for item in laid]
        blocks = [
            tuple(item.row.blocks[: start // block_tokens + 1]) for item, start in zip(laid, at, strict=True)
        ]
        values = self.host_values.numpy()
        values[: 4 * self.rows] = [
            *([item.row.token_ids[0] for item in laid] + [0] * empty),
            *(at + [0] * empty),
            *[own[-1] * block_tokens + start % block_tokens for own, start in zip(blocks, at, strict=True)],
            *([_NOWHERE] * empty),
            *([item.length for item in laid] + [0] * empty),
        ]
        tiles_end = 7 * self.rows
        tiles = padded(tile_rows(segments([*laid]), SHORT), self.rows)
        values[4 * self.rows : tiles_end] = tiles.view(-1).numpy()
        for number, own in enumerate(blocks):
            self._list(number, own, values[tiles_end + number * self.blocks.shape[1] :])
        self.device_values.copy_(self.host_values, non_blocking=True)

    def _list(self, number: int, own: tuple[int, ...], row: npt.NDArray[np.int32]) -> None:
        """Writes a row's blocks unless they stand there: with long contexts they are most of the values."""
        there = self.listed[number]
        kept = len(there) if own[: len(there)] == there else 0
        if kept < len(own):
            row[kept : len(own)] = own[kept:]
        self.listed[number] = own


def decode_inputs(rows: int, most_blocks: int, device: torch.device) -> DecodeInputs:
    """Returns inputs for a bucket of `rows`, all rows empty."""
    size = rows * (4 + 3 + most_blocks)
    host = torch.zeros(size, dtype=torch.int32, pin_memory=device.type == "cuda")
    host[2 * rows : 3 * rows] = _NOWHERE
    host[4 * rows : 7 * rows] = padded([], rows).view(-1)
    values = host.to(device)
    ids, positions, written, lengths, tiles, blocks = values.split(
        [rows] * 4 + [3 * rows, rows * most_blocks]
    )
    return DecodeInputs(
        host,
        values,
        torch.arange(rows, dtype=torch.int32, device=device),
        ids,
        positions,
        written,
        lengths,
        blocks.view(rows, most_blocks),
        Tiles(tiles.view(rows, 3), SHORT),
        [()] * rows,
    )
