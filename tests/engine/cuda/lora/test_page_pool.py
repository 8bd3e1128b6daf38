"""Pages: what is taken is nobody else's, and no order of loads and evictions wastes any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine import AdapterRefused
from parfocal.engine.backends.cuda.lora.page_pool import PagePool, pack
from parfocal.engine.errors import NoRoom


@given(st.lists(st.integers(1, 128), max_size=40))
def test_matrices_never_overlap_nor_leave_their_page(sizes: list[int]) -> None:
    packing = pack(sizes, 128)
    taken: set[tuple[int, int]] = set()
    for size, (page, start) in zip(sizes, packing.places, strict=True):
        bytes_of = {(page, at) for at in range(start, start + size)}
        assert page < packing.pages and start + size <= 128 and start % 64 == 0
        assert not taken & bytes_of
        taken |= bytes_of


@given(st.lists(st.integers(1, 4096), max_size=60))
def test_at_most_one_page_is_less_than_half_full(sizes: list[int]) -> None:
    packing = pack(sizes, 4096)
    filled = [0] * packing.pages
    for size, (page, _) in zip(sizes, packing.places, strict=True):
        filled[page] += -(-size // 64) * 64
    assert sum(fill * 2 < 4096 for fill in filled) <= 1


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=80))
def test_any_order_of_loads_and_evictions_finds_all_free_pages(events: list[tuple[bool, int]]) -> None:
    pool = PagePool(12)
    held: list[tuple[int, ...]] = []
    for loads, count in events:
        if not loads and held:
            pool.give(held.pop(0))
        elif loads and count <= 12 - pool.used:
            held.append(pool.take(count))
        elif loads:
            with pytest.raises(NoRoom, match=f"{count} pages are needed, {12 - pool.used} of 12"):
                pool.take(count)
        pages = [page for one in held for page in one]
        assert len(set(pages)) == len(pages) == pool.used


def test_an_adapter_larger_than_all_pages_is_refused_with_what_to_do() -> None:
    with pytest.raises(AdapterRefused, match=r"takes 3 pages .* has 2; raise adapter_bytes"):
        PagePool(2).take(3)


def test_pages_given_back_twice_are_a_defect() -> None:
    pool = PagePool(2)
    pages = pool.take(1)
    pool.give(pages)

    with pytest.raises(AssertionError, match="given back twice"):
        pool.give(pages)
