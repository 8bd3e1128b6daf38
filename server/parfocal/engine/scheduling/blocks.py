"""Blocks of KV cache: their owners, and the prefixes they hold. Knows token ids and seeds, no tensors.

A full block is named by a hash chained over its prefix. The chain is seeded by the adapter's digest, so a
block computed under one adapter is never found by another, nor by a later version under the same name.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile

BlockHash = bytes


def chain_seed(adapter_digest: str) -> BlockHash:
    """The start of a hash chain; the empty string stands for the base."""
    return hashlib.blake2b(adapter_digest.encode(), digest_size=16).digest()


def chain_next(parent: BlockHash, token_ids: Sequence[int]) -> BlockHash:
    """The name of the block that holds `token_ids` after the prefix named `parent`."""
    body = b"".join(token.to_bytes(4, "little") for token in token_ids)
    return hashlib.blake2b(parent + body, digest_size=16).digest()


class BlockPool:
    """A fixed number of blocks with reference counts.

    A block without references keeps its name and can be found until it is handed out for new tokens, least
    recently used first.
    """

    def __init__(self, blocks: int, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self._references = [0] * blocks
        self._name_of: dict[int, BlockHash] = {}
        self._block_of: dict[BlockHash, int] = {}
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(blocks))
        self._cached = 0

    @property
    def total(self) -> int:
        """The number of blocks."""
        return len(self._references)

    @property
    def free(self) -> int:
        """How many blocks have no references; some of them may still be found by name."""
        return len(self._free)

    @property
    def cached(self) -> int:
        """How many of the free blocks can still be found by name."""
        return self._cached

    def find(self, names: Sequence[BlockHash]) -> list[int]:
        """The blocks of the longest known prefix of `names`, without taking them."""
        return [self._block_of[name] for name in takewhile(self._block_of.__contains__, names)]

    def __contains__(self, name: BlockHash) -> bool:
        """Whether a block with this name can be found."""
        return name in self._block_of

    def can_take(self, found: Sequence[int], new: int) -> bool:
        """Whether `found` blocks and `new` empty ones can be taken together."""
        return len(self._free) - sum(1 for block in found if block in self._free) >= new

    def share(self, blocks: Sequence[int]) -> None:
        """Takes one more reference on each of `blocks`."""
        for block in blocks:
            if self._references[block] == 0:
                del self._free[block]
                self._cached -= block in self._name_of
            self._references[block] += 1

    def take(self, count: int) -> list[int]:
        """`count` empty blocks, each with one reference. Check `can_take` first."""
        return [self._take_oldest() for _ in range(count)]

    def name(self, block: int, name: BlockHash) -> None:
        """Makes a full block findable. If another block already has the name, this one stays anonymous."""
        if name not in self._block_of and block not in self._name_of:
            self._block_of[name] = block
            self._name_of[block] = name

    def release(self, blocks: Sequence[int]) -> None:
        """Drops one reference on each of `blocks`; deeper blocks of a prefix become reusable first."""
        for block in reversed(blocks):
            self._references[block] -= 1
            assert self._references[block] >= 0, f"block {block} was released twice"
            if self._references[block] == 0:
                self._free[block] = None
                self._cached += block in self._name_of

    def _take_oldest(self) -> int:
        block, _ = self._free.popitem(last=False)
        self._references[block] = 1
        name = self._name_of.pop(block, None)
        if name is not None:
            del self._block_of[name]
            self._cached -= 1
        return block
