"""Host memory brings adapters back by a copy, and takes in what waits for a slot while it has room."""

from fakes.engine.residency_stage import Stage, keys
from parfocal.engine.adapters.slots import Slot, SlotState


def test_an_evicted_adapter_comes_back_from_host_memory_by_a_copy_alone() -> None:
    stage = Stage(slots=1, host_bytes=3000)
    stage.load("a")
    stage.load("b")
    stage.load("a")

    loads = [dict(report.seconds) for report in stage.diary.reports if report.event == "loaded"]
    assert [set(seconds) for seconds in loads] == [
        {"fetch", "stage", "copy"},
        {"fetch", "stage", "copy"},
        {"copy"},
    ]


def test_whoever_waits_for_a_slot_is_read_into_host_memory_in_order_and_within_bounds() -> None:
    stage = Stage(slots=1, host_bytes=2000, prefetches=2)
    stage.reserve("x")
    stage.residency.want(keys("abc"))
    assert [adapter.digest for adapter in stage.loader.prefetching] == ["a", "b"]
    for adapter in tuple(stage.loader.prefetching):
        stage.loader.read(adapter)
    stage.residency.want(keys("abc"))

    assert not stage.loader.prefetching, "a third would push out one that is waited for"
    assert {entry.adapter.digest for entry in stage.host} == {"a", "b"}
    stage.residency.want(keys("bc"))
    assert [adapter.digest for adapter in stage.loader.prefetching] == ["c"]
    stage.loader.read(stage.loader.prefetching[0])
    assert {entry.adapter.digest for entry in stage.host} == {"b", "c"}
    assert [r.detail for r in stage.diary.reports if r.event == "evicted"] == ["host_capacity"]


def test_a_slot_that_is_taken_during_a_prefetch_waits_for_it_and_reads_nothing_twice() -> None:
    stage = Stage(slots=1, host_bytes=2000)
    stage.residency.want(keys("a"))
    slot = stage.reserve("a")
    assert not stage.loader.pending
    stage.loader.read(stage.loader.prefetching[0])
    assert stage.loader.pending == [slot.adapter]
    stage.loader.succeed(slot.adapter)

    assert slot.state is SlotState.READY
    assert [set(r.seconds) for r in stage.diary.reports if r.seconds] == [{"fetch", "stage"}, {"copy"}]


def test_a_prefetch_that_fails_fails_the_slot_that_waits_for_it() -> None:
    stage = Stage(slots=1, host_bytes=2000)
    stage.residency.want(keys("a"))
    slot = stage.reserve("a")
    stage.loader.read(stage.loader.prefetching[0], OSError("no such disk"))

    assert slot.state is SlotState.FAILED
    assert "no such disk" in str(stage.refusals[0])


def test_an_adapter_that_never_fits_is_read_ahead_once_while_it_is_waited_for() -> None:
    stage = Stage(slots=1, host_bytes=500)
    for _ in range(3):
        stage.residency.want(keys("a"))
        for adapter in tuple(stage.loader.prefetching):
            stage.loader.read(adapter)
    assert [report.event for report in stage.diary.reports] == ["staged"]
    assert not list(stage.host)


def test_without_host_memory_nothing_is_read_ahead() -> None:
    stage = Stage(slots=1, host_bytes=0)
    stage.residency.want(keys("ab"))

    assert not stage.loader.prefetching


def test_what_is_being_copied_to_the_device_stays_in_host_memory() -> None:
    stage = Stage(slots=3, host_bytes=1000)
    stage.load("a")
    stage.residency.evict(_found(stage, "a"), "operator")
    copied = stage.reserve("a")
    other = stage.reserve("b")
    stage.loader.succeed(other.adapter)
    assert [entry.adapter.digest for entry in stage.host] == ["a"]
    stage.loader.succeed(copied.adapter)
    stage.load("c")
    assert [entry.adapter.digest for entry in stage.host] == ["c"]


def _found(stage: Stage, digest: str) -> Slot:
    slot = stage.table.find(digest)
    assert slot is not None
    return slot


def test_each_adapter_is_listed_once_where_it_lies_fastest() -> None:
    stage = Stage(slots=1, host_bytes=3000)
    stage.load("a")
    stage.load("b")
    stage.residency.want(keys("c"))
    found = {
        status.adapter.digest: (status.state, status.tier, status.size_bytes, status.host_bytes)
        for status in stage.residency.statuses()
    }

    assert found == {
        "a": ("staged", "host", 1000, 1000),
        "b": ("ready", "device", 1000, 1000),
        "c": ("fetching", "host", 0, 0),
    }
    seconds = {status.adapter.digest: set(status.load_seconds) for status in stage.residency.statuses()}
    assert seconds == {"a": {"fetch", "stage", "copy"}, "b": {"fetch", "stage", "copy"}, "c": set()}
