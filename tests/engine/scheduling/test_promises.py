"""Requests that begin alike and arrive together compute the beginning once."""

import pytest

from fakes.engine.engines import World
from parfocal.engine import Pooling
from parfocal.engine.scheduling import Plan

PROMPT = tuple(range(32))


def _computed(world: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in (row for plan in world.runner.plans for row in plan.rows):
        found[row.request_id] = found.get(row.request_id, 0) + len(row.token_ids)
    return found


def _names(plan: Plan) -> list[str]:
    return [row.request_id for row in plan.rows]


def _check(world: World, names: list[str]) -> None:
    world.settle()
    for name in names:
        assert list(world.completions[name].token_ids) == world.answer(name)
        world.check_outputs(name)
    world.check_rest()


@pytest.mark.parametrize("budget", [12, 64])
def test_the_same_prompt_at_once_is_computed_once(budget: int) -> None:
    world = World(blocks=60, max_batch_tokens=budget)
    names = [world.submit(PROMPT, tokens=1) for _ in range(4)]
    _check(world, names)

    # The others compute what no block can give: the last token's, and so its block.
    assert list(_computed(world).values()) == [32, 4, 4, 4]


def test_a_request_waits_for_what_it_shares_and_no_longer() -> None:
    world = World(blocks=60, max_batch_tokens=30)
    long = world.submit(PROMPT[:20] + (1,) * 30, tokens=1)
    short = world.submit(PROMPT[:20] + (2,) * 3, tokens=1)
    _check(world, [long, short])

    assert _computed(world) == {long: 50, short: 3}
    assert [_names(plan) for plan in world.runner.plans] == [[long], [long, short]]


def test_nobody_waits_for_a_request_that_is_gone() -> None:
    world = World(blocks=60, max_batch_tokens=12)
    names = [world.submit(PROMPT, tokens=1) for _ in range(3)]
    world.engine.step()
    world.cancel(names[0])
    _check(world, names[1:])

    computed = _computed(world)
    assert computed == {names[0]: 12, names[1]: 20, names[2]: 4}


def test_others_are_not_held_up() -> None:
    world = World(blocks=60, max_batch_tokens=12)
    alike = [world.submit(PROMPT, tokens=1) for _ in range(2)]
    other = world.submit((9, 9, 9), tokens=1)
    _check(world, [*alike, other])

    plans = [_names(plan) for plan in world.runner.plans]
    assert [other in plan for plan in plans].index(True) < [alike[1] in plan for plan in plans].index(True)


@pytest.mark.parametrize("options", [{"prompt_logprobs": 0}, {"pooling": Pooling.MEAN}])
def test_who_must_compute_everything_waits_for_nobody(options: dict[str, object]) -> None:
    world = World(blocks=60, max_batch_tokens=64)
    names = [world.submit(PROMPT, tokens=0, **options) for _ in range(2)]  # type: ignore[arg-type]
    _check(world, names)

    assert len(world.runner.plans) == 1
    assert list(_computed(world).values()) == [32, 32]


def test_another_adapter_does_not_wait() -> None:
    world = World(blocks=60, max_batch_tokens=64)
    names = [world.submit(PROMPT, digest, tokens=1) for digest in ("a", "b")]
    _check(world, names)

    assert list(_computed(world).values()) == [32, 32]


def test_without_a_prefix_cache_there_is_nothing_to_wait_for() -> None:
    world = World(blocks=60, max_batch_tokens=64, prefix_cache=False)
    names = [world.submit(PROMPT, tokens=1) for _ in range(2)]
    _check(world, names)

    assert len(world.runner.plans) == 1


def test_a_preempted_request_promises_nothing() -> None:
    world = World(blocks=10, block_tokens=4, max_requests=4, max_batch_tokens=3)
    prompts = ((1, 2, 3), 30), (PROMPT[:30], 2), (PROMPT[:30], 2)
    _check(world, [world.submit(prompt, tokens=tokens) for prompt, tokens in prompts])

    assert sum(_computed(world).values()) > 32 + 31 + 4, "nothing was preempted, so nothing was tested"
