"""The scheduler's rules, seen through an engine on fake parts: order, fairness, chunks, preemption, ends."""

import time

import pytest

from fakes.engine.engines import World
from parfocal.engine import EngineDraining, FinishReason, InvalidRequest, QueueFull, StepFailed


def _planned(world: World) -> list[dict[str, int]]:
    return [{row.request_id: len(row.token_ids) for row in plan.rows} for plan in world.runner.plans]


def test_a_long_prompt_is_computed_in_chunks_of_the_budget() -> None:
    world = World(max_batch_tokens=12)
    name = world.submit(tuple(range(30)), tokens=2)
    world.settle()

    assert _planned(world) == [{name: 12}, {name: 12}, {name: 6}, {name: 1}]


def test_decoding_rows_go_before_unfinished_prompts() -> None:
    world = World(max_batch_tokens=8)
    quick = world.submit((1,), tokens=4)
    world.engine.step()
    long = world.submit(tuple(range(20)), tokens=1)
    world.settle()

    assert _planned(world)[1:4] == [{quick: 1, long: 7}, {quick: 1, long: 7}, {quick: 1, long: 6}]


def test_a_request_whose_adapter_is_loading_stalls_nobody() -> None:
    world = World()
    cold = world.submit((1, 2), "a")
    warm = world.submit((1, 2))
    while warm not in world.completions:
        assert world.engine.step()

    assert cold not in world.completions
    world.settle()
    assert list(world.completions[cold].token_ids) == world.answer(cold)
    assert world.completions[cold].timings.load > 0


def test_loading_begins_while_every_place_in_the_batch_is_taken() -> None:
    world = World(max_requests=1)
    world.submit((1,), tokens=20)
    world.engine.step()
    world.submit((2,), "a")
    world.engine.step()

    assert [adapter.digest for adapter in world.loader.pending] == ["a"]
    world.settle()


def test_preempted_requests_still_say_the_right_thing() -> None:
    world = World(blocks=8, block_tokens=4, max_requests=3)
    names = [world.submit((seed, 1, 2, 3), tokens=16) for seed in range(3)]
    world.settle()

    computed = sum(len(row.token_ids) for plan in world.runner.plans for row in plan.rows)
    assert computed > 3 * (4 + 15), "nothing was preempted, so nothing was tested"
    for name in names:
        assert list(world.completions[name].token_ids) == world.answer(name)
    world.check_rest()


def test_a_shared_prefix_is_computed_once() -> None:
    world = World(max_batch_tokens=64)
    world.submit(tuple(range(20)), tokens=1)
    world.settle()
    again = world.submit((*range(20), 7), tokens=1)
    world.settle()

    assert _planned(world)[-1] == {again: 1}
    assert world.completions[again].cached_tokens == 20


def test_a_prompt_that_is_wholly_cached_still_computes_its_last_block() -> None:
    world = World()
    world.submit(tuple(range(8)), tokens=1)
    world.settle()
    again = world.submit(tuple(range(8)), tokens=1)
    world.settle()

    assert _planned(world)[-1] == {again: 4}
    assert world.completions[again].cached_tokens == 4
    assert list(world.completions[again].token_ids) == world.answer(again)


def test_a_block_that_was_left_half_computed_is_not_found() -> None:
    world = World(max_batch_tokens=6)
    left = world.submit(tuple(range(12)))
    world.engine.step()
    world.cancel(left)
    again = world.submit(tuple(range(12)), tokens=1)
    world.settle()

    assert world.completions[again].cached_tokens == 4
    assert list(world.completions[again].token_ids) == world.answer(again)


def test_another_adapter_does_not_find_the_prefix() -> None:
    world = World(max_batch_tokens=64)
    world.submit(tuple(range(20)), "a", tokens=1)
    world.settle()
    other = world.submit(tuple(range(20)), "b", tokens=1)
    world.settle()

    assert world.completions[other].cached_tokens == 0


def test_a_failing_row_ends_alone() -> None:
    world = World()
    bad, good = world.submit((1,)), world.submit((2,))
    world.runner.poisoned.add(bad)
    world.settle()

    assert isinstance(world.errors[bad], StepFailed)
    assert str(world.errors[bad].__cause__) == "the fake model was told to fail"
    assert list(world.completions[good].token_ids) == world.answer(good)


def test_a_result_that_cannot_be_taken_in_is_not_computed_again() -> None:
    """Rows that were taken in already would get their tokens twice."""
    world = World()
    for seed in range(2):
        world.submit((seed,), tokens=2)
    world.engine.step()
    world.pool.release(world.scheduler.running[1].blocks)  # so that it cannot end
    with pytest.raises(AssertionError, match="released twice"):
        world.engine.step()

    assert [len(plan.rows) for plan in world.runner.plans] == [2, 2]


def test_a_failed_load_ends_its_requests_and_the_next_one_tries_again() -> None:
    world = World()
    first, second = world.submit((1,), "a"), world.submit((2,), "a")
    world.engine.step()
    world.loader.fail(world.loader.pending[0], OSError("no such disk"))
    world.engine.step()
    assert {first, second} == set(world.errors)
    assert "no such disk" in str(world.errors[first])

    third = world.submit((3,), "a")
    world.settle()
    assert list(world.completions[third].token_ids) == world.answer(third)


def test_a_deadline_ends_a_waiting_request() -> None:
    world = World()
    late = world.submit((1,), "a", deadline=time.monotonic() - 1)
    world.engine.step()

    assert world.completions[late].finish_reason is FinishReason.DEADLINE
    world.settle()
    world.check_rest()


def test_a_deadline_ends_a_running_request_with_what_it_has() -> None:
    world = World()
    late = world.submit((1,), tokens=50, deadline=time.monotonic() + 0.05)
    world.settle(100_000)

    done = world.completions[late]
    assert done.finish_reason in (FinishReason.DEADLINE, FinishReason.LENGTH)
    assert list(done.token_ids) == world.answer(late)[: len(done.token_ids)]


def test_a_cancelled_request_frees_everything_before_the_next_step() -> None:
    world = World()
    name = world.submit((1, 2, 3), tokens=50)
    world.engine.step()
    world.cancel(name)
    world.engine.step()

    assert world.completions[name].finish_reason is FinishReason.CANCELLED
    world.check_rest()


def test_a_full_queue_refuses_with_a_hint_and_recovers() -> None:
    world = World(max_waiting=2)
    world.submit((1,))
    world.submit((2,))
    with pytest.raises(QueueFull) as refusal:
        world.engine.submit(world.requests["q0"], lambda _: None)
    assert refusal.value.retry_after_s

    world.settle()
    world.submit((3,))
    world.settle()
    world.check_rest()


def test_an_id_in_use_is_refused() -> None:
    world = World()
    world.submit((1,))
    with pytest.raises(InvalidRequest, match="in use"):
        world.engine.submit(world.requests["q0"], lambda _: None)
    world.settle()


def test_a_draining_engine_finishes_what_it_took_and_takes_no_more() -> None:
    world = World()
    name = world.submit((1,))
    world.engine.drain()
    with pytest.raises(EngineDraining):
        world.submit((2,))
    del world.requests["q1"]
    world.settle()

    assert list(world.completions[name].token_ids) == world.answer(name)
