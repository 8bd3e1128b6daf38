"""A request whose adapter only has to be copied from host memory begins with the step, if that is quick."""

from fakes.engine.engines import World


def busy_world(overlaps: bool = False) -> World:
    """A world with one slot, "a" and "b" in host memory, and a request of the base that goes on."""
    world = World(slots=1, overlaps=overlaps)
    for digest in "ab":
        world.submit((1, 2), digest, tokens=1)
        world.settle()
    world.submit((3, 4), tokens=20)
    world.engine.step()
    return world


def rows(world: World) -> set[str]:
    """The requests that the last step computed."""
    return {row.request_id for row in world.runner.plans[-1].rows}


def test_an_adapter_that_is_copied_at_once_is_used_in_the_same_step() -> None:
    world = busy_world()
    world.loader.copies_at_once = True
    base, name = "q2", world.submit((5, 6), "a")
    world.engine.step()

    assert rows(world) == {base, name}
    world.settle()
    assert list(world.completions[name].token_ids) == world.answer(name)
    world.check_rest()


def test_a_copy_that_takes_long_holds_up_nobody() -> None:
    world = busy_world()
    name = world.submit((5, 6), "a")
    for _ in range(3):
        world.engine.step()
        assert rows(world) == {"q2"}
    world.finish_loads()
    world.engine.step()

    assert rows(world) == {"q2", name}


def test_who_arrives_or_leaves_while_a_copy_is_awaited_is_noticed() -> None:
    world = busy_world()
    gone = world.submit((5, 6), "a")

    def come_and_go() -> None:
        world.cancel(gone)
        world.submit((8, 9), tokens=2)

    world.loader.copies_at_once, world.loader.before_copy = True, come_and_go
    world.engine.step()

    assert rows(world) == {"q2", "q4"}
    world.settle()
    world.check_rest()


def test_a_device_that_computes_meanwhile_is_not_kept_waiting() -> None:
    world = busy_world(overlaps=True)
    world.loader.copies_at_once = True
    name = world.submit((5, 6), "a")
    world.engine.step()
    assert rows(world) == {"q2"}
    world.engine.step()
    assert rows(world) == {"q2", name}
