"""The table of slots: bounded, least recently used out first, and never a pinned adapter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine import AdapterKey
from parfocal.engine.slots import Slot, SlotState, SlotTable


def ready(table: SlotTable, digest: str) -> Slot:
    slot = table.open(AdapterKey(digest))
    slot.state = SlotState.READY
    return slot


def use(table: SlotTable, slot: Slot) -> None:
    table.pin(slot)
    table.unpin(slot)


def test_a_table_with_room_has_no_victim() -> None:
    table = SlotTable(2)
    ready(table, "a")

    assert table.victim() is None
    assert table.can_open()


def test_the_least_recently_used_slot_leaves_first() -> None:
    table = SlotTable(3)
    a, b, c = (ready(table, digest) for digest in "abc")
    for slot in (a, b, c, a):
        use(table, slot)

    assert table.victim() is b
    table.remove(b)
    use(table, ready(table, "d"))
    assert table.victim() is c


def test_a_slot_counts_as_used_until_its_last_pin_goes() -> None:
    table = SlotTable(2)
    long, short = ready(table, "long"), ready(table, "short")
    table.pin(long)
    use(table, short)
    table.unpin(long)

    assert table.victim() is short


@pytest.mark.parametrize("state", [state for state in SlotState if state is not SlotState.READY])
def test_only_a_ready_slot_is_a_victim(state: SlotState) -> None:
    table = SlotTable(1)
    ready(table, "a").state = state

    assert table.victim() is None
    assert not table.can_open()


@pytest.mark.parametrize("state", SlotState)
def test_only_failed_and_leaving_slots_go_with_their_last_pin(state: SlotState) -> None:
    table = SlotTable(1)
    slot = ready(table, "a")
    slot.state = state
    table.pin(slot)
    table.pin(slot)

    assert table.unpin(slot) is False
    assert table.unpin(slot) is (state in (SlotState.FAILED, SlotState.DRAINING))


def test_taking_back_more_pins_than_were_given_is_a_programmers_mistake() -> None:
    table = SlotTable(1)
    slot = ready(table, "a")
    use(table, slot)

    with pytest.raises(AssertionError, match="unpinned twice"):
        table.unpin(slot)


def test_a_pinned_slot_cannot_be_forgotten() -> None:
    table = SlotTable(1)
    slot = ready(table, "a")
    table.pin(slot)

    with pytest.raises(AssertionError, match="is pinned"):
        table.remove(slot)
    assert table.find("a") is slot


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=40))
def test_eviction_follows_a_plain_list_of_uses(uses: list[tuple[str, bool]]) -> None:
    """The model is a list with the last use at its end; `True` keeps a pin until the adapter's next use."""
    table, order, pinned = SlotTable(3), list[str](), set[str]()
    for digest, keep in uses:
        slot = table.find(digest)
        if slot is None:
            victim = table.victim()
            expected = next((one for one in order if one not in pinned), None) if len(order) == 3 else None
            assert (victim.adapter.digest if victim else None) == expected
            if victim is not None:
                table.remove(victim)
                order.remove(victim.adapter.digest)
            if not table.can_open():
                continue
            slot = ready(table, digest)
        elif digest in pinned:
            table.unpin(slot)
            pinned.discard(digest)
        use(table, slot)
        if keep:
            table.pin(slot)
            pinned.add(digest)
        order = [one for one in order if one != digest] + [digest]

    assert {slot.adapter.digest for slot in table} == set(order)
    assert len(table) <= 3
