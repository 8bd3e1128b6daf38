"""The table of slots: bounded, worth least out first, and never a pinned adapter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine import AdapterKey
from parfocal.engine.adapters.slots import Slot, SlotState, SlotTable


def ready(table: SlotTable, digest: str) -> Slot:
    slot = table.open(AdapterKey(digest))
    slot.state = SlotState.READY
    return slot


def equal(_: Slot) -> float:
    """Makes every adapter cost the same."""
    return 1.0


def use(table: SlotTable, slot: Slot) -> None:
    table.pin(slot)
    table.unpin(slot)


def test_a_table_with_room_has_no_victim() -> None:
    table = SlotTable(2)
    ready(table, "a")

    assert table.victim(equal) is None
    assert table.can_open()


def test_of_adapters_used_as_often_the_least_recently_used_leaves_first() -> None:
    table = SlotTable(3)
    a, b, c = (ready(table, digest) for digest in "abc")
    for slot in (a, b, c):
        use(table, slot)

    assert table.victim(equal) is a
    table.remove(a)
    use(table, ready(table, "d"))
    assert table.victim(equal) is b


def test_of_adapters_used_as_lately_the_one_used_less_often_leaves_first() -> None:
    table = SlotTable(3)
    often, rare, new = (ready(table, digest) for digest in ("often", "rare", "new"))
    for slot in (often, often, rare, new):
        use(table, slot)

    assert table.victim(equal) is rare


def test_an_adapter_that_was_used_often_long_ago_leaves_in_the_end() -> None:
    table = SlotTable(2)
    once_popular = ready(table, "popular")
    for _ in range(5):
        use(table, once_popular)
    for number in range(30):
        use(table, ready(table, f"new{number}"))
        victim = table.victim(equal)
        assert victim is not None
        table.remove(victim)
        if victim is once_popular:
            break

    assert number < 10


def test_what_is_cheap_to_bring_back_for_its_size_leaves_first() -> None:
    table = SlotTable(3)
    costs = {"far": 10.0, "near": 1.0, "large": 10.0}
    slots = {digest: ready(table, digest) for digest in costs}
    for digest, slot in slots.items():
        slot.size_bytes = 20 if digest == "large" else 1
        use(table, slot)

    def cost(slot: Slot) -> float:
        return costs[slot.adapter.digest]

    for digest in ("large", "near"):
        victim = table.victim(cost)
        assert victim is slots[digest]
        table.remove(victim)
        use(table, ready(table, f"instead of {digest}"))
        costs[f"instead of {digest}"] = 100.0


def test_a_slot_counts_as_used_until_its_last_pin_goes() -> None:
    table = SlotTable(2)
    long, short = ready(table, "long"), ready(table, "short")
    table.pin(long)
    use(table, short)
    table.unpin(long)

    assert table.victim(equal) is short


@pytest.mark.parametrize("state", [state for state in SlotState if state is not SlotState.READY])
def test_only_a_ready_slot_is_a_victim(state: SlotState) -> None:
    table = SlotTable(1)
    ready(table, "a").state = state

    assert table.victim(equal) is None
    assert not table.can_open()


@pytest.mark.parametrize("state", SlotState)
def test_only_lost_slots_go_with_their_last_pin(state: SlotState) -> None:
    table = SlotTable(1)
    slot = ready(table, "a")
    slot.state = state
    table.pin(slot)
    table.pin(slot)

    assert table.unpin(slot) is False
    assert table.unpin(slot) is (state in (SlotState.FAILED, SlotState.NO_ROOM))


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


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans(), st.integers(1, 9)), max_size=60))
def test_eviction_follows_the_formula(uses: list[tuple[str, bool, int]]) -> None:
    """The model computes every worth anew; `True` keeps a pin until the adapter's next use."""
    table, model, pinned = SlotTable(3), dict[str, list[float]](), set[str]()
    clock = 0.0
    for number, (digest, keep, size) in enumerate(uses):
        slot = table.find(digest)
        if slot is None:
            idle = {one: at + count * 8.0 / size for one, (at, count, size, _) in model.items()}
            order = sorted(idle, key=lambda one: (idle[one], model[one][3]))
            expected = next((one for one in order if one not in pinned), None) if len(model) == 3 else None
            victim = table.victim(lambda _: 8.0)
            assert (victim.adapter.digest if victim else None) == expected
            if victim is not None:
                clock = max(clock, idle[victim.adapter.digest])
                del model[victim.adapter.digest]
                table.remove(victim)
            if not table.can_open():
                continue
            slot = ready(table, digest)
            slot.size_bytes = size
            model[digest] = [0.0, 0, size, 0]
        elif digest in pinned:
            table.unpin(slot)
            pinned.discard(digest)
            model[digest][1] += 1
        use(table, slot)
        model[digest] = [clock, model[digest][1] + 1, model[digest][2], number]
        if keep:
            table.pin(slot)
            pinned.add(digest)

    assert {slot.adapter.digest for slot in table} == set(model)
    assert len(table) <= 3
