"""A plan's rows at their places in the flat batch, sorted by adapter. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.engine.adapters import Place
from parfocal.engine.scheduling.plan import Plan, PlanRow


@dataclass(frozen=True, slots=True)
class LaidRow:
    """A plan row at its place in the flat batch: tokens `start` to `end` (exclusive)."""

    row: PlanRow
    order: int
    start: int
    end: int

    @property
    def tokens(self) -> int:
        """How many tokens the row computes."""
        return self.end - self.start

    @property
    def length(self) -> int:
        """How many tokens the row has in the cache after the step."""
        return self.row.start + self.tokens


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbouring tokens `start` to `end` (exclusive) that use the adapter at `place`."""

    place: Place
    start: int
    end: int

    @property
    def tokens(self) -> int:
        """The segment's length."""
        return self.end - self.start


def lay_out(plan: Plan) -> list[LaidRow]:
    """Sorts the rows by adapter place, base rows last, so that an adapter's tokens are neighbours."""
    ranked = sorted(enumerate(plan.rows), key=_by_place)
    laid, start = [], 0
    for order, row in ranked:
        laid.append(LaidRow(row, order, start, start + len(row.token_ids)))
        start = laid[-1].end
    return laid


def segments(laid: list[LaidRow]) -> list[Segment]:
    """Returns the tokens of each row that uses an adapter."""
    return [Segment(item.row.place, item.start, item.end) for item in laid if item.row.place is not None]


def merge(found: Sequence[Segment]) -> list[Segment]:
    """Joins neighbouring segments of the same adapter."""
    merged: list[Segment] = []
    for segment in found:
        if merged and merged[-1].place == segment.place and merged[-1].end == segment.start:
            segment = Segment(segment.place, merged.pop().start, segment.end)
        merged.append(segment)
    return merged


def token_places(blocks: Sequence[int], start: int, end: int, block_tokens: int) -> list[int]:
    """Returns where the tokens at `start` to `end` (exclusive) of a row with these blocks lie in the cache.

    >>> token_places([3, 0], 2, 6, 4)
    [14, 15, 0, 1]
    """
    return [blocks[at // block_tokens] * block_tokens + at % block_tokens for at in range(start, end)]


def written_places(laid: Sequence[LaidRow], block_tokens: int) -> list[int]:
    """Returns the cache place of each token's key and value in a step."""
    return [
        place
        for item in laid
        for place in token_places(item.row.blocks, item.row.start, item.length, block_tokens)
    ]


def _by_place(item: tuple[int, PlanRow]) -> tuple[int, int, int]:
    order, row = item
    return (row.place.slab, row.place.index, order) if row.place else (1 << 30, 0, order)
