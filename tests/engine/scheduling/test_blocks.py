"""Blocks are counted right, found only by their own prefix and adapter, and never handed out twice."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from parfocal.engine.scheduling.blocks import BlockPool, chain_next, chain_seed

tokens = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8)


def _names(digest: str, *blocks: list[int]) -> list[bytes]:
    names, parent = [], chain_seed(digest)
    for block in blocks:
        parent = chain_next(parent, block)
        names.append(parent)
    return names


def test_a_released_prefix_is_found_again() -> None:
    pool = BlockPool(4, 2)
    names = _names("a", [1, 2], [3, 4])
    held = pool.take(2)
    for block, name in zip(held, names, strict=True):
        pool.name(block, name)
    pool.release(held)

    assert pool.find(names) == held
    assert pool.cached == 2


@given(tokens, st.text(max_size=20), st.text(max_size=20))
def test_two_adapters_never_share_a_name(block: list[int], one: str, other: str) -> None:
    assert (_names(one, block) == _names(other, block)) == (one == other)


@given(tokens, tokens, tokens)
def test_a_name_depends_on_the_whole_prefix(first: list[int], second: list[int], third: list[int]) -> None:
    assert (_names("a", first, third)[1] == _names("a", second, third)[1]) == (first == second)


def test_a_chain_found_in_part_stops_at_the_first_missing_block() -> None:
    pool = BlockPool(4, 2)
    names = _names("a", [1, 2], [3, 4], [5, 6])
    first, _, third = held = pool.take(3)
    pool.name(first, names[0])
    pool.name(third, names[2])

    assert pool.find(names) == [first]
    pool.release(held)


def test_a_block_that_is_handed_out_anew_is_no_longer_found() -> None:
    pool = BlockPool(1, 2)
    (block,) = pool.take(1)
    pool.name(block, _names("a", [1, 2])[0])
    pool.release([block])
    pool.take(1)

    assert pool.find(_names("a", [1, 2])) == []


def test_the_longest_unused_block_is_handed_out_first_and_a_prefix_from_its_end() -> None:
    pool = BlockPool(4, 2)
    old, new = pool.take(2), pool.take(2)
    pool.release(old)
    pool.release(new)

    assert pool.take(4) == [old[1], old[0], new[1], new[0]]


class PoolMachine(RuleBasedStateMachine):
    """Takes, shares, names and releases at random, and counts along."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BlockPool(6, 2)
        self.held: list[list[int]] = []
        self.named = 0

    @rule(count=st.integers(1, 4))
    def take(self, count: int) -> None:
        if self.pool.can_take((), count):
            self.held.append(self.pool.take(count))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def name_and_release(self, data: st.DataObject) -> None:
        blocks = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        for block in blocks:
            self.named += 1
            self.pool.name(block, self.named.to_bytes(16, "big"))
        self.pool.release(blocks)

    @rule(number=st.integers(1, 40), fresh=st.integers(0, 2))
    def share_what_is_found(self, number: int, fresh: int) -> None:
        found = self.pool.find([number.to_bytes(16, "big")])
        if self.pool.can_take(found, fresh):
            self.pool.share(found)
            self.held.append(found + self.pool.take(fresh))

    @invariant()
    def counts_agree(self) -> None:
        distinct = {block for blocks in self.held for block in blocks}
        assert self.pool.free == self.pool.total - len(distinct)
        assert 0 <= self.pool.cached <= self.pool.free

    @invariant()
    def fresh_blocks_have_one_holder(self) -> None:
        found = {b for n in range(self.named + 1) for b in self.pool.find([n.to_bytes(16, "big")])}
        anonymous = [block for blocks in self.held for block in blocks if block not in found]
        assert len(anonymous) == len(set(anonymous))


TestPool = PoolMachine.TestCase
