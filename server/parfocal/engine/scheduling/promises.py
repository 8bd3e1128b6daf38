"""Blocks that running requests are about to compute: others that begin alike wait for them.

Without it, requests with the same prompt that arrive together would each compute all of it, because a block
can be found only when it is full. No torch.
"""

from collections.abc import Sequence as Many
from itertools import takewhile

from parfocal.engine.scheduling.blocks import BlockHash
from parfocal.engine.scheduling.sequence import Sequence


class Promises:
    """Who computes which block. A promise ends with the request's prompt or when it gives up its blocks."""

    def __init__(self) -> None:
        self._by: dict[BlockHash, Sequence] = {}

    def make(self, sequence: Sequence, names: Many[BlockHash]) -> None:
        """Promises the blocks called `names`, unless another request does so already."""
        sequence.promised = names
        for name in names:
            self._by.setdefault(name, sequence)

    def end(self, sequence: Sequence) -> None:
        """Takes back what a request has promised."""
        for name in sequence.promised:
            if self._by.get(name) is sequence:
                del self._by[name]
        sequence.promised = ()

    def coming(self, names: Many[BlockHash]) -> BlockHash | None:
        """The last block of the longest beginning of `names` that is promised."""
        promised = list(takewhile(self._by.__contains__, names))
        return promised[-1] if promised else None

    def __contains__(self, name: BlockHash) -> bool:
        return name in self._by
