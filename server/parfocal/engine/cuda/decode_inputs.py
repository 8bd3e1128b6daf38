"""What a decode step reads, in tensors that stay where they are: a captured graph finds its values there."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..laid_plan import LaidRow, segments
from .lora_step import SHORT, Tiles, padded, tile_rows

_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class DecodeInputs:
    """Inputs of at most `rows` rows with one token each, all of them parts of `device_values`, all int32.

    `tokens` are the rows' places in the batch: 0, 1, …; these never change. `ids`, `positions`, `written`
    (where the token's key and value go; -1 for an empty row) and `lengths` (tokens attended to; 0 for an
    empty row) are `[rows]`, `blocks` `[rows, most blocks]`; `tiles` as in `Tiles`.
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

    @property
    def rows(self) -> int:
        """Returns how many rows there is room for."""
        return len(self.ids)

    def fill(self, laid: Sequence[LaidRow], block_tokens: int) -> None:
        """Takes in a step's rows, with one copy to the device. The step before must have ended."""
        empty = self.rows - len(laid)
        last = [(item.row, item.row.start) for item in laid]
        columns = [
            [item.row.token_ids[0] for item in laid] + [0] * empty,
            [at for _, at in last] + [0] * empty,
            [row.blocks[at // block_tokens] * block_tokens + at % block_tokens for row, at in last]
            + [_NOWHERE] * empty,
            [item.length for item in laid] + [0] * empty,
        ]
        flat = self.host_values
        flat[: 4 * self.rows] = torch.tensor(columns, dtype=torch.int32).view(-1)
        tiles_end = 7 * self.rows
        flat[4 * self.rows : tiles_end] = padded(tile_rows(segments([*laid]), SHORT), self.rows).view(-1)
        width = self.blocks.shape[1]
        for number, (row, at) in enumerate(last):
            used = row.blocks[: at // block_tokens + 1]
            begin = tiles_end + number * width
            flat[begin : begin + len(used)] = torch.tensor(used, dtype=torch.int32)
        self.device_values.copy_(flat, non_blocking=True)


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
    )
