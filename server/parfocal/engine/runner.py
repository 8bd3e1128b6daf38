"""Turns a plan into tensors, runs the base once, and draws the next tokens.

Knows no queues and no requests' ends.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .attention import AttentionStep, ChunkRow, DecodeRows
from .base import ResidentBase
from .kv_cache import KvCache
from .lora_batch import LoraBatch, Segment
from .lora_store import LoraStore
from .plan import Plan, PlanRow
from .sampler import Sampler
from .sampling_row import SampledToken


@dataclass(frozen=True, slots=True)
class _Laid:
    """A plan row at its place in the flat batch: tokens `start` to `end` (exclusive)."""

    row: PlanRow
    order: int
    start: int
    end: int

    @property
    def tokens(self) -> int:
        """Returns how many tokens the row computes."""
        return self.end - self.start


class Runner:
    """Runs plans on the resident base. The rows of a batch are independent of each other."""

    def __init__(self, base: ResidentBase, cache: KvCache, store: LoraStore) -> None:
        self._base = base
        self._cache = cache
        self._store = store
        self._sampler = Sampler()
        self._cpu_threads = torch.get_num_threads()
        self._stepping: int | None = None

    @torch.inference_mode()
    def run(self, plan: Plan) -> list[SampledToken | None]:
        """Returns the drawn token of each row, in the plan's order; None where a prompt is unfinished."""
        self._take_cpus()
        laid = _lay_out(plan)
        drawing = [item for item in laid if item.row.sampling is not None]
        logits = self._forward(laid, [item.end - 1 for item in drawing])
        result: list[SampledToken | None] = [None] * len(plan.rows)
        if drawing:
            rows = [item.row.sampling for item in drawing if item.row.sampling is not None]
            for item, token in zip(drawing, self._sampler.sample(logits, rows), strict=True):
                result[item.order] = token
        return result

    def _take_cpus(self) -> None:
        """Gives the stepping thread all CPUs: a thread that loads adapters has told torch to use one."""
        if self._stepping != threading.get_ident():
            self._stepping = threading.get_ident()
            torch.set_num_threads(self._cpu_threads)

    def _forward(self, laid: Sequence[_Laid], last: list[int]) -> torch.Tensor:
        """Returns the logits `[drawing rows, vocabulary]` of the batch places `last`."""
        device = self._base.device
        ids = torch.tensor([[t for item in laid for t in item.row.token_ids]], device=device)
        at = [p for item in laid for p in range(item.row.start, item.row.start + item.tokens)]
        self._clear_begun_blocks(laid)
        self._base.active.batch = self._lora(laid)
        output = self._base.model(
            input_ids=ids,
            position_ids=torch.tensor([at], device=device),
            use_cache=False,
            logits_to_keep=torch.tensor(last or [0], device=device),
            step=self._attention(laid),
        )
        logits: torch.Tensor = output.logits[0]
        return logits.float()

    def _lora(self, laid: Sequence[_Laid]) -> LoraBatch | None:
        segments = [Segment(i.row.place, i.start, i.end) for i in laid if i.row.place is not None]
        return LoraBatch(segments, self._store.slabs, self._base.device) if segments else None

    def _attention(self, laid: Sequence[_Laid]) -> AttentionStep:
        device = self._base.device
        places = (self._cache.places(i.row.blocks, i.row.start, i.row.start + i.tokens) for i in laid)
        written = torch.tensor([place for row in places for place in row], device=device)
        chunks = tuple(self._chunk(item) for item in laid if item.tokens > 1)
        return AttentionStep(self._cache, written, self._decode_rows(laid), chunks)

    def _clear_begun_blocks(self, laid: Sequence[_Laid]) -> None:
        """Empties the blocks that this step begins and does not fill.

        A row reads the whole of its last block. Masked tokens weigh 0, but 0 times the NaN that another
        request left there is NaN.
        """
        last = [_begun_block(item, self._cache.block_tokens) for item in laid]
        if begun := [block for block in last if block is not None]:
            self._cache.clear(torch.tensor(begun, device=self._base.device))

    def _chunk(self, item: _Laid) -> ChunkRow:
        length = item.row.start + item.tokens
        used = -(-length // self._cache.block_tokens)
        blocks = torch.tensor([item.row.blocks[:used]], device=self._base.device)
        return ChunkRow(item.start, item.end, blocks, length)

    def _decode_rows(self, laid: Sequence[_Laid]) -> DecodeRows | None:
        single = [item for item in laid if item.tokens == 1]
        if not single:
            return None
        device = self._base.device
        most = max(len(item.row.blocks) for item in single)
        # Padded with a row's own block: another's may hold NaN, which a masked weight of 0 does not stop.
        padded = [(*blocks, *[blocks[0]] * (most - len(blocks))) for blocks in (i.row.blocks for i in single)]
        return DecodeRows(
            tokens=torch.tensor([item.start for item in single], device=device),
            blocks=torch.tensor(padded, device=device),
            lengths=torch.tensor([item.row.start + 1 for item in single], device=device),
        )


def _begun_block(item: _Laid, size: int) -> int | None:
    """Returns the row's last block if this step writes its first token and not its last."""
    end = item.row.start + item.tokens
    last = (end - 1) // size
    return item.row.blocks[last] if last * size >= item.row.start and end % size else None


def _lay_out(plan: Plan) -> list[_Laid]:
    """Sorts the rows by adapter place, base rows last, so that an adapter's tokens are neighbours."""
    ranked = sorted(enumerate(plan.rows), key=_by_place)
    laid, start = [], 0
    for order, row in ranked:
        laid.append(_Laid(row, order, start, start + len(row.token_ids)))
        start = laid[-1].end
    return laid


def _by_place(item: tuple[int, PlanRow]) -> tuple[int, int, int]:
    order, row = item
    return (row.place.slab, row.place.index, order) if row.place else (1 << 30, 0, order)
