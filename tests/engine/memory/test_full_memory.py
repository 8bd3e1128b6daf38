"""A device whose memory for adapters is full although slots are left: who finds none waits and comes next."""

from fakes.engine.engines import World
from parfocal.engine import AdapterKey


def _load_of(world: World, digest: str) -> AdapterKey:
    return next(adapter for adapter in world.loader.pending if adapter.digest == digest)


def _on_device(world: World) -> list[str]:
    return sorted(world.loader.device.places.values())


def test_an_idle_adapter_leaves_for_one_that_found_no_memory() -> None:
    world = World(slots=3)
    world.submit((1, 2), "a")
    world.settle()
    name = world.submit((3, 4), "b")
    world.engine.step()
    world.loader.crowd(_load_of(world, "b"))
    for _ in range(3):
        world.engine.step()

    assert _on_device(world) == []
    world.settle()
    assert _on_device(world) == ["b"]
    assert list(world.completions[name].token_ids) == world.answer(name)
    world.check_rest()


def test_one_that_runs_is_not_thrown_out_and_the_other_waits_for_its_end() -> None:
    world = World(slots=3)
    first = world.submit((1, 2), "a", tokens=6)
    world.engine.step()
    world.loader.succeed(_load_of(world, "a"))
    world.engine.step()
    second = world.submit((3, 4), "b")
    world.engine.step()
    world.loader.crowd(_load_of(world, "b"))
    world.engine.step()
    world.engine.step()

    assert _on_device(world) == ["a"]
    assert not [one for one in world.loader.pending if one.digest == "b"]
    world.settle()
    for name in (first, second):
        assert list(world.completions[name].token_ids) == world.answer(name)
    world.check_rest()


def test_what_was_read_is_copied_and_not_read_again() -> None:
    world = World(slots=3)
    world.submit((1, 2), "a")
    world.settle()
    world.submit((3, 4), "b")
    world.engine.step()
    world.loader.crowd(_load_of(world, "b"))
    for _ in range(3):
        world.engine.step()

    assert "b" in world.loader.staged
    world.settle()


def test_one_whose_caller_left_meanwhile_gives_its_slot_back() -> None:
    world = World(slots=2)
    world.submit((1, 2), "a")
    world.settle()
    name = world.submit((3, 4), "b")
    world.engine.step()
    world.cancel(name)
    world.engine.step()
    world.loader.crowd(_load_of(world, "b"))
    world.engine.step()

    assert world.table.find("b") is None
    world.settle()
    world.check_rest()


def test_one_that_found_no_memory_tries_again_in_the_step_that_learns_it() -> None:
    """An idle engine has no other step soon: nothing wakes it before its wait is over."""
    world = World(slots=3)
    world.submit((1, 2), "a")
    world.settle()
    world.submit((3, 4), "b")
    world.engine.step()
    world.loader.crowd(_load_of(world, "b"))
    world.engine.step()

    assert _on_device(world) == []
    assert _load_of(world, "b")


def test_one_that_found_no_memory_is_not_tried_in_vain_beside_a_load_under_way() -> None:
    world = World(slots=3)
    names = [world.submit((1, 2), "a"), world.submit((3, 4), "b")]
    world.engine.step()
    world.loader.crowd(_load_of(world, "b"))
    for _ in range(3):
        world.engine.step()
        assert [each.digest for each in world.loader.pending] == ["a"]
    world.settle()

    for name in names:
        assert list(world.completions[name].token_ids) == world.answer(name)
    world.check_rest()


def test_a_load_that_fails_makes_room_for_one_that_found_none() -> None:
    world = World(slots=3)
    running = world.submit((1, 2), "a", tokens=30)
    world.engine.step()
    world.loader.succeed(_load_of(world, "a"))
    fails, waits = world.submit((3, 4), "b"), world.submit((5, 6), "c")
    world.engine.step()
    world.loader.crowd(_load_of(world, "c"))
    world.engine.step()
    assert [each.digest for each in world.loader.pending] == ["b"]
    world.loader.fail(_load_of(world, "b"), OSError("the disk is gone"))
    world.engine.step()

    assert [each.digest for each in world.loader.pending] == ["c"]
    assert running not in world.completions
    world.settle()
    assert list(world.errors) == [fails]
    assert list(world.completions[waits].token_ids) == world.answer(waits)
    world.check_rest()
