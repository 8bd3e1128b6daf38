"""Adapters come on request, stay while pinned, leave when room is needed, and every lookup is reported."""

import pytest

from fakes.engine.residency_stage import Stage
from parfocal.engine import AdapterKey, AdapterUnavailable
from parfocal.engine.adapters.slots import SlotState


def test_lookups_are_a_miss_then_waits_then_hits() -> None:
    stage = Stage()
    slot = stage.reserve("a")
    assert stage.reserve("a") is slot
    stage.loader.succeed(slot.adapter)
    assert stage.reserve("a") is slot

    assert stage.diary.lines == ["miss a", "wait a", "loaded a", "hit a"]
    assert slot.pins == 3
    assert (slot.rank, slot.size_bytes, slot.state) == (8, 1000, SlotState.READY)


def test_an_adapter_is_loaded_once_for_all_who_wait_for_it() -> None:
    stage = Stage()
    slot = stage.reserve("a")
    for _ in range(4):
        stage.reserve("a")

    assert stage.loader.pending == [slot.adapter]


def test_the_least_recently_used_adapter_makes_room_and_its_place_is_freed() -> None:
    stage = Stage(slots=2)
    for digest in ("a", "b", "a"):
        stage.load(digest) if stage.table.find(digest) is None else stage.residency.release(
            stage.reserve(digest)
        )
    stage.load("c")

    assert "evicted b" in stage.diary.lines
    assert sorted(stage.device.places.values()) == ["a", "c"]
    evicted = next(report for report in stage.diary.reports if report.event == "evicted")
    assert (evicted.size_bytes, evicted.detail) == (1000, "capacity")


def test_while_every_slot_is_pinned_nobody_else_gets_in_and_nobody_is_thrown_out() -> None:
    stage = Stage(slots=2)
    a, b = stage.reserve("a"), stage.reserve("b")
    stage.loader.succeed(a.adapter)

    assert stage.residency.reserve(AdapterKey("c")) is None
    assert {slot.adapter.digest for slot in stage.residency} == {"a", "b"}
    stage.residency.release(a)
    assert stage.reserve("c").state is SlotState.FETCHING
    assert b.adapter in stage.loader.pending


def test_a_load_that_nobody_waits_for_any_more_is_kept_for_the_next() -> None:
    stage = Stage(slots=1)
    slot = stage.reserve("a")
    stage.residency.release(slot)
    assert stage.residency.reserve(AdapterKey("b")) is None, "a slot under way was thrown out"
    stage.loader.succeed(slot.adapter)

    assert stage.reserve("a") is slot
    assert stage.diary.lines[-1] == "hit a"


def test_a_failed_slot_goes_with_its_last_pin_and_the_next_try_loads_anew() -> None:
    stage = Stage()
    slot = stage.reserve("a")
    stage.reserve("a")
    stage.loader.fail(slot.adapter, OSError("no such disk"))

    stage.residency.release(slot)
    assert stage.residency.reserve(AdapterKey("a")) is None, "a failed slot was given out"
    stage.residency.release(slot)
    again = stage.reserve("a")
    assert again is not slot
    assert stage.loader.pending == [again.adapter]


def test_a_failed_slot_that_nobody_pins_goes_at_once() -> None:
    stage = Stage()
    slot = stage.reserve("a")
    stage.residency.release(slot)
    stage.loader.fail(slot.adapter, OSError("no such disk"))

    assert len(stage.table) == 0


def test_a_failure_names_the_adapter_and_the_cause() -> None:
    stage = Stage()
    stage.loader.fail(stage.reserve("a").adapter, OSError("no such disk"))

    (refusal,) = stage.refusals
    assert isinstance(refusal, AdapterUnavailable)
    assert "team/a" in str(refusal)
    assert "no such disk" in str(refusal)
    assert refusal.metadata == {"digest": "a"}
    assert stage.diary.reports[-1].detail == str(refusal)


class NotThere(Exception):
    """What a source raises on purpose: it has a status and a reason of its own."""

    status = "NOT_FOUND"
    reason = "NOT_THERE"


def test_a_sources_own_refusal_is_passed_on_as_it_is() -> None:
    stage, refusal = Stage(), NotThere("no such adapter")
    stage.loader.fail(stage.reserve("a").adapter, refusal)

    assert stage.refusals == [refusal]


def test_a_pinned_adapter_cannot_be_evicted() -> None:
    stage = Stage()
    slot = stage.reserve("a")
    stage.loader.succeed(slot.adapter)

    with pytest.raises(AssertionError, match="pinned"):
        stage.residency.evict(slot, "operator")
    assert stage.device.places


def test_a_request_that_asks_again_is_not_counted_again() -> None:
    stage = Stage(slots=1)
    stage.reserve("a")
    assert stage.residency.reserve(AdapterKey("b")) is None
    for _ in range(5):
        assert stage.residency.reserve(AdapterKey("b"), again=True) is None

    assert stage.diary.lines == ["miss a", "miss b"]


def test_a_pinned_adapter_never_makes_room_and_its_pin_is_no_requests() -> None:
    stage = Stage(slots=2)
    pinned = stage.load("a")
    for _ in range(2):
        stage.residency.pin(pinned.adapter)
    for digest in ("b", "c", "b", "c"):
        stage.load(digest)

    assert "evicted a" not in stage.diary.lines
    statuses = {status.adapter.digest: status for status in stage.residency.statuses()}
    assert (statuses["a"].is_pinned, statuses["a"].pins) == (True, 0)
    assert (statuses["c"].is_pinned, statuses["c"].pins) == (False, 0)
