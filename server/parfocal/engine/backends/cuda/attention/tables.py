"""What a step's attention kernels read besides the cache: which tokens see which blocks. No kernels here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from parfocal.engine.backends.cuda.sending import Send
from parfocal.engine.scheduling import LaidRow


@dataclass(frozen=True, slots=True)
class DecodeTable:
    """Rows with one new token each; a row of length 0 is padding.

    `tokens` `[rows]` are their places in the batch, `lengths` `[rows]` their numbers of cached tokens, and
    `lines` `[rows]` their lines in `blocks` `[lines, most]`, the blocks that hold these; nothing after a
    row's last block is read. All are int32.
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    lines: torch.Tensor
    blocks: torch.Tensor

    def sent(self, send: Send) -> "DecodeTable":
        """The table on the device."""
        return DecodeTable(*map(send, (self.tokens, self.lengths, self.lines, self.blocks)))


@dataclass(frozen=True, slots=True)
class PrefillTiles:
    """Rows with several new tokens each, in tiles of at most `tile_tokens` neighbours.

    `tiles` `[tiles, 4]` are the row's line in `blocks`, the first token's place in the batch, the number of
    tokens, and the first one's position; `blocks` `[rows, most]` is where the rows lie. Both are int32.
    """

    tiles: torch.Tensor
    blocks: torch.Tensor
    tile_tokens: int

    def sent(self, send: Send) -> "PrefillTiles":
        """The tiles on the device."""
        return PrefillTiles(send(self.tiles), send(self.blocks), self.tile_tokens)


def token_table(rows: Sequence[LaidRow], block_tokens: int) -> DecodeTable:
    """Returns every new token of `rows` as a row of its own; those of one row share its line of blocks."""
    return DecodeTable(
        tokens=_int32([place for item in rows for place in range(item.start, item.end)]),
        lengths=_int32([at + 1 for item in rows for at in range(item.row.start, item.length)]),
        lines=_int32([line for line, item in enumerate(rows) for _ in range(item.tokens)]),
        blocks=block_table(rows, block_tokens, len(rows)),
    )


def prefill_tiles(rows: Sequence[LaidRow], block_tokens: int, tile_tokens: int) -> PrefillTiles:
    """Cuts the new tokens of `rows` into tiles, longest context first, so that no long one starts last."""
    tiles = [
        (line, item.start + at, min(tile_tokens, item.tokens - at), item.row.start + at)
        for line, item in enumerate(rows)
        for at in range(0, item.tokens, tile_tokens)
    ]
    tiles.sort(key=lambda tile: tile[3], reverse=True)
    return PrefillTiles(_int32(tiles), block_table(rows, block_tokens, len(rows)), tile_tokens)


def block_table(rows: Sequence[LaidRow], block_tokens: int, lines: int) -> torch.Tensor:
    """Returns `[lines, most]` int32: the blocks that hold each row's tokens, then zeros."""
    used = [-(-item.length // block_tokens) for item in rows]
    table = np.zeros((lines, max(used, default=0)), np.int32)
    for line, (item, count) in enumerate(zip(rows, used, strict=True)):
        table[line, :count] = item.row.blocks[:count]
    return torch.from_numpy(table)


def _int32(values: Sequence[int] | Sequence[tuple[int, ...]]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32)
