"""A step that fails: its memory is free before it is tried again, and only an engine at fault ends by it."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fakes.engine.engines import World
from fakes.engine.runner import FakeRunner
from parfocal.engine import DeviceLost, EngineFailed, StepFailed
from parfocal.engine.scheduling.plan import Plan, SampledToken
from parfocal.engine.self_check import MOST_FAILURES

ILLEGAL = "CUDA error: an illegal memory access was encountered\nCompile with TORCH_USE_CUDA_DSA"


class Activations:
    """What a layer computes: memory that somebody may hold."""


class Exhausted(FakeRunner):
    """Runs out of memory in every step of more than one row, each time in another way."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*parts)  # type: ignore[arg-type]  # as its parent takes them
        self.taken = list[weakref.ref[Activations]]()
        self.held_at_retries = list[int]()

    @property
    def held(self) -> int:
        """How many activations are alive."""
        return sum(each() is not None for each in self.taken)

    def run(self, plan: Plan, meanwhile: Callable[[], None]) -> list[SampledToken | None]:
        """Fails in a large step; notes what a small one finds."""
        if len(plan.rows) > 1:
            self._ways()[len(self.taken) % 3]()
        if self.taken:
            self.held_at_retries.append(self.held)
        return super().run(plan, meanwhile)

    def _ways(self) -> list[Callable[[], None]]:
        return [self._fail, self._fail_of_another, self._fail_within_a_scope]

    def _take(self) -> Activations:
        taken = Activations()
        self.taken.append(weakref.ref(taken))
        return taken

    def _fail(self) -> None:
        _layer = self._take()
        raise RuntimeError("CUDA out of memory")

    def _fail_of_another(self) -> None:
        try:
            self._fail()
        except RuntimeError as error:
            raise RuntimeError("the layer failed") from error

    def _fail_within_a_scope(self) -> None:
        with self._scope():
            raise RuntimeError("CUDA out of memory")

    @contextmanager
    def _scope(self) -> Iterator[None]:
        _workspace = self._take()
        yield


@pytest.mark.parametrize("overlaps", [False, True])
def test_nothing_holds_a_failed_steps_memory_while_its_rows_run_alone(overlaps: bool) -> None:
    world = World(overlaps=overlaps, runner_type=Exhausted)
    runner = world.runner
    assert isinstance(runner, Exhausted)
    names = [world.submit((1, number), tokens=4) for number in range(3)]
    world.settle()

    assert len(runner.taken) >= 3
    assert runner.held_at_retries
    assert not any(runner.held_at_retries)
    assert runner.releases == len(runner.taken)
    for name in names:
        assert list(world.completions[name].token_ids) == world.answer(name)
    world.check_rest()


class ExhaustedAlone(Exhausted):
    """Runs out of memory whenever it computes the request `large`."""

    large = "q0"

    def run(self, plan: Plan, meanwhile: Callable[[], None]) -> list[SampledToken | None]:
        """Fails with that row in the plan."""
        if any(row.request_id == self.large for row in plan.rows):
            self._ways()[len(self.taken) % 3]()
        return super().run(plan, meanwhile)


def test_an_error_that_its_reader_keeps_holds_none_of_the_steps_memory() -> None:
    world = World(runner_type=ExhaustedAlone)
    runner = world.runner
    assert isinstance(runner, ExhaustedAlone)
    large, small = world.submit((1, 2)), world.submit((3, 4))
    world.settle()

    cause = world.errors[large].__cause__
    assert cause is not None and cause.__traceback__ is not None, "where it failed is not told"
    assert runner.taken and runner.held == 0
    assert list(world.completions[small].token_ids) == world.answer(small)


def test_an_engine_whose_every_step_fails_ends_and_gives_the_reason() -> None:
    world = World()
    world.runner.failure = RuntimeError("cuBLAS error:\nCUBLAS_STATUS_INTERNAL_ERROR")
    tried, waiting = world.submit((1, 2)), None
    steps = 0
    with pytest.raises(EngineFailed, match=r"8 steps in a row: cuBLAS error: CUBLAS_STATUS_INTERNAL_ERROR"):
        while steps < 100:
            world.engine.step()
            steps += 1
            waiting = waiting or world.submit((3, 4))

    assert isinstance(world.errors[tried], StepFailed)
    assert steps == MOST_FAILURES
    assert waiting not in world.errors, "a request was sent into an engine that was known to fail"
    assert world.pool.free == world.pool.total


class Spoilt(FakeRunner):
    """Returns numbers that are none for every row, as a device with broken memory may."""

    def run(self, plan: Plan, meanwhile: Callable[[], None]) -> list[SampledToken | None]:
        """Computes, and loses it."""
        drawn = super().run(plan, meanwhile)
        return [token and SampledToken(-1, error="97 of 97 logits are NaN") for token in drawn]


def test_an_engine_that_computes_nothing_but_nonsense_ends() -> None:
    world = World(runner_type=Spoilt)
    world.submit((1, 2))
    with pytest.raises(EngineFailed, match="97 of 97 logits are NaN"):
        for _ in range(100):
            world.engine.step()


@pytest.mark.parametrize("overlaps", [False, True])
def test_requests_at_fault_do_not_end_the_engine_however_many_come(overlaps: bool) -> None:
    world = World(overlaps=overlaps)
    bad = [world.submit((1, number)) for number in range(5 * MOST_FAILURES)]
    world.runner.poisoned.update(bad)
    world.settle()
    good = world.submit((2, 3))
    world.settle()

    assert all(isinstance(world.errors[name], StepFailed) for name in bad)
    assert list(world.completions[good].token_ids) == world.answer(good)
    world.check_rest()


def test_an_engine_that_recovers_serves_who_waited() -> None:
    world = World()
    world.runner.failure = RuntimeError("out of memory that another process holds")
    tried = world.submit((1, 2))
    world.engine.step()
    waiting = [world.submit((3, number)) for number in range(3)]
    for _ in range(MOST_FAILURES - 1):
        assert not world.engine.step()
    world.runner.failure = None
    world.settle()

    assert list(world.errors) == [tried]
    for name in waiting:
        assert list(world.completions[name].token_ids) == world.answer(name)
    world.check_rest()


def test_failures_that_others_have_outlived_are_not_counted() -> None:
    world = World()
    for _ in range(3):
        world.runner.failure = RuntimeError("now and then")
        world.submit((1, 2))
        for _ in range(MOST_FAILURES - 1):
            world.engine.step()
        world.runner.failure = None
        good = world.submit((5, 6))
        world.settle()
        assert list(world.completions[good].token_ids) == world.answer(good)


def test_a_lost_device_ends_the_engine_at_its_first_failed_step() -> None:
    world = World()
    names = [world.submit((1, number)) for number in range(2)]
    world.runner.failure, world.runner.is_device_lost = RuntimeError(ILLEGAL), True
    with pytest.raises(DeviceLost, match="the device is lost: CUDA error: an illegal memory access was enc"):
        world.engine.step()

    assert not set(names) & set(world.errors), "a row was blamed for the device"
    assert world.runner.releases == 0, "a lost device was asked for memory"


@pytest.mark.parametrize("ahead", [False, True], ids=["a load", "a prefetch"])
def test_a_device_that_is_lost_while_an_adapter_is_copied_ends_an_idle_engine(ahead: bool) -> None:
    world = World(slots=1)
    world.submit((1, 2), "a")
    world.engine.step()
    if ahead:
        world.submit((1, 2), "b")
        world.engine.step()
        world.loader.read(world.loader.prefetching[0], RuntimeError(ILLEGAL))
    else:
        world.loader.fail(world.loader.pending[0], RuntimeError(ILLEGAL))
    world.runner.is_device_lost = True
    with pytest.raises(DeviceLost):
        world.engine.step()
