"""A request that makes way for another holds nothing meanwhile, and goes on where it was."""

from fakes.engine.engines import World
from parfocal.engine import FinishReason


def _crowd(digests: str = "aab") -> tuple[World, list[str]]:
    """Three long requests that 8 blocks of 4 tokens cannot hold together."""
    world = World(blocks=8, block_tokens=4, max_requests=3)
    prompts = enumerate(digests)
    return world, [world.submit((number, 1, 2, 3), digest, tokens=16) for number, digest in prompts]


def _step_until_preempted(world: World) -> str:
    """Returns the request that waits although it has tokens already."""
    for _ in range(100):
        for adapter in tuple(world.loader.pending):
            world.loader.succeed(adapter)
        world.engine.step()
        for sequence in world.scheduler.waiting:
            if sequence.output_ids:
                return sequence.request.request_id
    raise AssertionError("nothing was preempted, so nothing was tested")


def test_a_preempted_request_holds_neither_blocks_nor_its_adapter() -> None:
    world, _ = _crowd()
    name = _step_until_preempted(world)

    (waiting,) = (s for s in world.scheduler.waiting if s.request.request_id == name)
    assert (waiting.blocks, waiting.computed) == ([], 0)
    world.check_invariants()
    world.settle()
    world.check_rest()


def test_a_preempted_request_is_the_next_to_go_on() -> None:
    world, _ = _crowd()
    name = _step_until_preempted(world)
    late = world.submit((9,), tokens=16)
    order = list[str]()
    while world.engine.live:
        world.engine.step()
        order += [n for n in (name, late) if n in world.completions and n not in order]

    assert order == [name, late]


def test_a_request_that_leaves_while_preempted_gives_nothing_back_twice() -> None:
    world, _ = _crowd()
    name = _step_until_preempted(world)
    world.cancel(name)
    world.settle()

    done = world.completions[name]
    assert done.finish_reason is FinishReason.CANCELLED
    assert list(done.token_ids) == world.answer(name)[: len(done.token_ids)]
    world.check_rest()


def test_preemption_never_takes_from_a_request_that_computes_in_this_step() -> None:
    world, names = _crowd()
    while world.engine.live:
        for adapter in tuple(world.loader.pending):
            world.loader.succeed(adapter)
        world.engine.step()
        world.check_invariants()

    assert not world.errors
    for name in names:
        assert list(world.completions[name].token_ids) == world.answer(name)


def test_a_large_request_is_not_overtaken_for_ever_by_small_ones() -> None:
    world = World(blocks=8, block_tokens=4, max_requests=4)
    for seed in range(3):
        world.submit((seed,), tokens=6)
    world.engine.step()
    large = world.submit(tuple(range(28)), tokens=2)
    small = [world.submit((50 + seed,), tokens=6) for seed in range(10)]
    ended = list[str]()
    while large not in world.completions:
        assert world.engine.step()
        ended += [name for name in small if name in world.completions and name not in ended]

    assert ended == [], "a request that came later was let in before"
    world.settle()
    world.check_rest()
