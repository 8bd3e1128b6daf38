"""One thread at a time changes an engine's state; a debug run notices any other."""

import threading
from collections.abc import Callable

import pytest

from fakes.engine.engines import World
from fakes.engine.residency_stage import Stage
from parfocal.engine import AdapterKey
from parfocal.engine.adapters.loads import Loaded
from parfocal.engine.adapters.slots import SlotState
from parfocal.engine.owner import Owner

PATIENCE_SECONDS = 60.0


def elsewhere(work: Callable[[], object]) -> AssertionError | None:
    """Returns the assertion that fails when `work` runs on a thread of its own."""
    raised: list[AssertionError] = []

    def run() -> None:
        try:
            work()
        except AssertionError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return raised[0] if raised else None


def test_until_somebody_has_entered_everybody_may_and_then_only_the_last() -> None:
    owner, seen = Owner(), list[bool]()
    assert owner.is_here
    with owner:
        elsewhere(lambda: seen.append(owner.is_here))
    elsewhere(lambda: seen.append(owner.is_here))

    assert owner.is_here
    assert seen == [False, False]


def test_a_thread_may_enter_after_another_but_not_meanwhile() -> None:
    owner = Owner()
    with owner, owner:
        assert "two threads" in str(elsewhere(owner.__enter__))

    assert elsewhere(owner.__enter__) is None
    assert not owner.is_here


def test_an_engine_that_two_threads_step_at_once_says_so() -> None:
    world = World()
    world.submit((1, 2, 3))
    world.runner.turns = threading.Semaphore(0)
    stepping = threading.Thread(target=world.engine.step)
    stepping.start()
    while not world.scheduler.running:
        assert stepping.is_alive()
    failure = elsewhere(world.engine.step)
    world.runner.turns.release()
    stepping.join(PATIENCE_SECONDS)

    assert "two threads" in str(failure)


@pytest.mark.parametrize("call", ["advanced", "loaded", "failed", "reserve", "prefetch_failed"])
def test_a_loading_thread_that_touches_a_slot_says_so(call: str) -> None:
    world = World()
    world.submit((1, 2, 3), "a")
    world.engine.step()
    key, residency = AdapterKey("a"), world.residency
    calls: dict[str, Callable[[], object]] = {
        "advanced": lambda: residency.advanced(key, SlotState.LOADING),
        "loaded": lambda: residency.loaded(key, Loaded(None, 8, 1, {})),
        "failed": lambda: residency.failed(key, OSError("no such disk")),
        "reserve": lambda: residency.reserve(key),
        "prefetch_failed": lambda: residency.prefetch_failed(key, OSError("no such disk")),
    }

    assert elsewhere(calls[call]) is not None
    assert [slot.state for slot in world.table] == [SlotState.FETCHING]


def test_a_slot_without_memory_is_not_a_failed_one() -> None:
    stage = Stage(slots=2)
    slot, broken = stage.reserve("a"), stage.reserve("b")
    stage.loader.crowd(slot.adapter)
    stage.loader.fail(broken.adapter, OSError("no such disk"))

    assert (slot.state, broken.state) == (SlotState.NO_ROOM, SlotState.FAILED)
    assert len(stage.refusals) == 1
    assert [line for line in stage.diary.lines if line.startswith("failed")] == ["failed b"]
