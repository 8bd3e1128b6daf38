"""Host memory keeps what is worth most within its budget, and never lets go of what is needed."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine import AdapterKey
from parfocal.engine.adapters.host_tier import HostEntry, HostTier


@dataclass(frozen=True)
class Content:
    """So many bytes."""

    size_bytes: int
    rank: int = 8


def entry(digest: str, size_bytes: int) -> HostEntry:
    return HostEntry(AdapterKey(digest), Content(size_bytes))


def digests(tier: HostTier) -> set[str]:
    return {entry.adapter.digest for entry in tier}


steps = st.tuples(
    st.sampled_from("abcdefgh"), st.integers(0, 60), st.frozensets(st.sampled_from("abcdefgh"), max_size=4)
)


@given(st.integers(0, 100), st.lists(steps, max_size=60))
def test_the_budget_holds_the_sum_is_right_and_what_is_needed_stays(
    capacity: int, plan: list[tuple[str, int, frozenset[str]]]
) -> None:
    tier = HostTier(capacity)
    for digest, size, needed in plan:
        before = {entry.adapter.digest: entry.content.size_bytes for entry in tier}
        tier.use(digest)
        gone = tier.keep(entry(digest, size), needed)
        after = {entry.adapter.digest: entry.content.size_bytes for entry in tier}

        assert sum(after.values()) == tier.size_bytes <= capacity
        assert before.keys() & needed <= after.keys()
        if gone is None:
            assert after == before
            assert size > capacity - sum(before[one] for one in before.keys() & needed)
        elif digest not in before:
            assert after.keys() == (before.keys() - {one.adapter.digest for one in gone}) | {digest}
        assert tier.held_bytes(needed) == sum(after[one] for one in needed & after.keys())


def test_no_more_leave_than_must() -> None:
    tier = HostTier(100)
    for digest in "abcd":
        tier.keep(entry(digest, 25), ())

    assert len(tier.keep(entry("e", 26), ()) or ()) == 2
    assert digests(tier) == {"c", "d", "e"}


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 60)), max_size=60))
def test_those_that_leave_are_always_the_ones_worth_least(uses: list[tuple[str, int]]) -> None:
    tier = HostTier(100)
    for digest, size in uses:
        tier.use(digest)
        worths = {one.adapter.digest: one.worth for one in tier}
        gone = tier.keep(entry(digest, size), ()) or []

        left = [worth for one, worth in worths.items() if one in digests(tier)]
        assert not gone or not left or max(worths[one.adapter.digest] for one in gone) < min(left)


def test_small_and_often_used_adapters_stay_longest() -> None:
    large, small, often = 40 << 20, 1 << 20, 40 << 20
    tier = HostTier(large + small + often)
    for digest, size in (("often", often), ("small", small), ("large", large)):
        tier.keep(entry(digest, size), ())
    for _ in range(3):
        tier.use("often")
    tier.keep(entry("new", large), ())

    assert digests(tier) == {"often", "small", "new"}


def test_what_is_here_already_is_not_counted_twice() -> None:
    tier = HostTier(100)
    tier.keep(entry("a", 60), ())

    assert tier.keep(entry("a", 60), ()) == []
    assert tier.size_bytes == 60
