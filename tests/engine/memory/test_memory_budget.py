"""One budget is divided so that nothing exceeds it and nothing useful is left, or is refused with numbers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine import EngineMisconfigured
from parfocal.engine.lora.store import SlabSize, adapter_bytes_at_worst
from parfocal.engine.memory.budget import Budget, HostCache, KvNeeds, Needs, Workspace, divide, with_kv_cache

NEEDS = Needs(1000, 200, "2 slots of ranks up to 8", KvNeeds(4, 40, 100, 50), Workspace(300, 1))
SIZES = st.integers(0, 10_000)


@st.composite
def needs(draw: st.DrawFn) -> Needs:
    """Returns needs of any proportions."""
    context, size = draw(st.integers(1, 300)), draw(st.integers(1, 32))
    kv = KvNeeds(size, draw(st.integers(1, 500)), context, draw(st.integers(1, 8)) * -(-context // size))
    return Needs(draw(SIZES), draw(SIZES), "slots", kv, Workspace(draw(SIZES), draw(st.integers(0, 50))))


@given(needs(), st.integers(0, 200_000))
def test_the_cache_takes_all_that_is_left_and_no_more(parts: Needs, size_bytes: int) -> None:
    budget = Budget(size_bytes, "a test")
    try:
        table = divide(parts, budget)
    except EngineMisconfigured as error:
        smallest = with_kv_cache(parts, parts.kv.block_bytes, None)
        assert smallest.total_bytes > size_bytes
        assert all(str(n) in str(error) for n in (smallest.total_bytes, parts.base_bytes, size_bytes))
        return
    assert table.total_bytes <= size_bytes
    assert table.kv_blocks <= parts.kv.most_blocks
    if table.kv_blocks < parts.kv.most_blocks:
        more = with_kv_cache(parts, table.kv_bytes + parts.kv.block_bytes, None)
        assert more.total_bytes > size_bytes


def test_a_stated_cache_is_taken_as_it_is_in_whole_blocks_and_as_far_as_it_is_useful() -> None:
    assert with_kv_cache(NEEDS, 119, None).kv_blocks == 2
    assert with_kv_cache(NEEDS, 10**9, None).kv_blocks == 50
    with pytest.raises(
        EngineMisconfigured, match=r"kv_cache_bytes 39 cannot hold one block of 4 tokens.* 40 "
    ):
        with_kv_cache(NEEDS, 39, None)


def test_a_stated_cache_beyond_the_stated_budget_is_refused_with_the_numbers() -> None:
    fits = with_kv_cache(NEEDS, 80, Budget(1000 + 200 + 80 + 308, "memory_bytes"))
    assert fits.total_bytes == 1588
    with pytest.raises(EngineMisconfigured, match=r"1588 bytes: base 1000, adapters 200 \(2 slots.*1587"):
        with_kv_cache(NEEDS, 80, Budget(1587, "memory_bytes"))


def test_people_see_every_part_and_the_budget() -> None:
    table = divide(replace(NEEDS, base_bytes=3 << 30), Budget(4 << 30, "memory_bytes"))
    lines = table.lines()

    names = ["base", "adapters", "host", "KV", "workspace", "total"]
    assert [line.split()[0] for line in lines] == names
    assert "3.0 GiB" in lines[0]
    assert lines[3].endswith("2.0 KiB  200 tokens")
    assert lines[5].endswith("3.0 GiB  of 4.0 GiB, memory_bytes")


def test_a_host_cache_counts_only_where_it_lies_in_the_devices_own_memory() -> None:
    budget = Budget(3000, "memory_bytes")
    within, beside = (divide(replace(NEEDS, host=HostCache(500, w)), budget) for w in (True, False))

    assert (within.host_bytes, beside.host_bytes) == (500, 500)
    assert beside.kv_bytes == divide(NEEDS, budget).kv_bytes > within.kv_bytes
    assert "beside the device" in beside.lines()[2]
    assert "beside" not in within.lines()[2]


def test_captured_steps_take_their_part_of_the_budget() -> None:
    budget = Budget(2000, "memory_bytes")
    without, captured = divide(NEEDS, budget), divide(replace(NEEDS, graph_bytes=120), budget)

    assert captured.graph_bytes == 120
    assert any(line.startswith("graphs") for line in captured.lines())
    assert (without.kv_bytes, captured.kv_bytes) == (440, 320)
    assert captured.total_bytes == 1000 + 200 + 320 + 332 + 120
    with pytest.raises(EngineMisconfigured, match=r"workspace 304, graphs 457; there are 2000"):
        divide(replace(NEEDS, graph_bytes=457), budget)


@pytest.mark.parametrize(
    ("slots", "slabs"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (4, (1, 1, 1)), (5, (2, 2, 1)), (9, (3, 3, 3))]
)
def test_the_worst_mix_of_ranks_keeps_slabs_of_each_alive(slots: int, slabs: tuple[int, ...]) -> None:
    sizes = [SlabSize(4, 1), SlabSize(4, 10_000), SlabSize(4, 100)]

    assert adapter_bytes_at_worst(sizes, slots) == slabs[0] * 10_000 + slabs[1] * 100 + slabs[2]


def test_adapters_that_have_a_slab_each_waste_nothing() -> None:
    assert adapter_bytes_at_worst([SlabSize(16, 256), SlabSize(4, 256), SlabSize(1, 256)], 16) == 16 * 256
