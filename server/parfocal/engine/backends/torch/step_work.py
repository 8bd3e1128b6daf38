"""A step's LoRA work and attention with torch's own operations, on any device."""

from collections.abc import Mapping, Sequence

import torch

from parfocal.engine.backends.torch.attention import AttentionStep, ChunkRow, DecodeRows
from parfocal.engine.lora import LoraBatch, LoraWork, Slab
from parfocal.engine.model import AttentionWork, KvCache
from parfocal.engine.scheduling import LaidRow, segments, written_places


class TorchStepWork:
    """Prepares steps for torch."""

    def __init__(self, cache: KvCache, slabs: Mapping[int, Slab], device: torch.device) -> None:
        self._cache = cache
        self._slabs = slabs
        self._device = device

    def lora(self, laid: list[LaidRow]) -> LoraWork | None:
        """The rows' LoRA work; None if no row uses an adapter."""
        found = segments(laid)
        return LoraBatch(found, self._slabs, self._device) if found else None

    def attention(self, laid: list[LaidRow]) -> AttentionWork:
        """The rows' attention."""
        self._clear_begun_blocks(laid)
        written = torch.tensor(written_places(laid, self._cache.block_tokens), device=self._device)
        chunks = tuple(self._chunk(item) for item in laid if item.tokens > 1)
        return AttentionStep(self._cache, written, self._decode_rows(laid), chunks)

    def _clear_begun_blocks(self, laid: list[LaidRow]) -> None:
        """Zeroes the blocks that this step begins but does not fill.

        A row reads the whole of its last block. Masked tokens weigh 0, but 0 times the NaN that another
        request left there is NaN.
        """
        last = [_begun_block(item, self._cache.block_tokens) for item in laid]
        if begun := [block for block in last if block is not None]:
            self._cache.clear(torch.tensor(begun, device=self._device))

    def _chunk(self, item: LaidRow) -> ChunkRow:
        used = -(-item.length // self._cache.block_tokens)
        blocks = torch.tensor([item.row.blocks[:used]], device=self._device)
        return ChunkRow(item.start, item.end, blocks, item.length)

    def _decode_rows(self, laid: Sequence[LaidRow]) -> DecodeRows | None:
        single = [item for item in laid if item.tokens == 1]
        if not single:
            return None
        most = max(len(item.row.blocks) for item in single)
        # Padded with a row's own block: another's may hold NaN, which a masked weight of 0 does not stop.
        padded = [(*blocks, *[blocks[0]] * (most - len(blocks))) for blocks in (i.row.blocks for i in single)]
        return DecodeRows(
            tokens=torch.tensor([item.start for item in single], device=self._device),
            blocks=torch.tensor(padded, device=self._device),
            lengths=torch.tensor([item.length for item in single], device=self._device),
        )


def _begun_block(item: LaidRow, size: int) -> int | None:
    """The row's last block if this step writes its first token and not its last."""
    last = (item.length - 1) // size
    return item.row.blocks[last] if last * size >= item.row.start and item.length % size else None
