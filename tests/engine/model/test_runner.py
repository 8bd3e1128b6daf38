"""The device has left a step when its run is over: whether it drew tokens, drew none, or failed."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from fakes.engine.deferred import DeferredWorld
from fakes.engine.runner import next_token
from parfocal.engine import Sampling
from parfocal.engine.scheduling import Plan, PlanRow, SamplingRow

DRAWS = SamplingRow(Sampling(), 0, (), (), (), logprobs=False, top_logprobs=0, draw_seed=0)


@dataclass
class Weather:
    """Fails at one seam."""

    fails_at: str = ""

    def blows(self, seam: str, rows: Sequence[PlanRow]) -> None:
        if seam == self.fails_at:
            raise RuntimeError("out of memory")

    def spoils(self, row: PlanRow) -> bool:
        return False

    def follows(self, rows: Sequence[PlanRow]) -> bool:
        return True


def plan(*draws: bool) -> Plan:
    """Returns a plan of rows of three tokens, each in a block of its own."""
    return Plan(
        tuple(
            PlanRow(f"r{block}", (1, 2, 3), 0, (block,), None, DRAWS if one else None)
            for block, one in enumerate(draws)
        )
    )


@pytest.mark.parametrize("draws", [(False,), (True,), (False, False), (True, False)])
def test_nothing_is_left_on_the_device_and_other_work_is_done_while_it_computes(
    draws: tuple[bool, ...],
) -> None:
    world = DeferredWorld(Weather(), overlaps=True)
    before: list[int] = []
    runner = world.new_runner()
    drawn = runner.run(plan(*draws), lambda: before.append(len(world.late.queue)))

    assert [one and one.token_id for one in drawn] == [
        next_token((1, 2, 3), "") if one else None for one in draws
    ]
    assert len(world.late.queue) == 0
    assert before == [len(draws) + sum(draws) + any(draws)]


@pytest.mark.parametrize("draws", [(True,), (True, True), (False,), (True, False)])
def test_a_step_waits_for_the_device_once(draws: tuple[bool, ...]) -> None:
    world = DeferredWorld(Weather(), overlaps=True)
    world.new_runner().run(plan(*draws), lambda: None)

    assert world.late.waits == 1


@pytest.mark.parametrize("seam", ["launch", "half", "sample", "wait"])
def test_a_step_that_fails_leaves_nothing_on_the_device(seam: str) -> None:
    world = DeferredWorld(Weather(fails_at=seam), overlaps=True)
    with pytest.raises(RuntimeError, match="out of memory"):
        world.new_runner().run(plan(True, False), lambda: None)

    assert len(world.late.queue) == 0
