"""While a step's tokens are read the device has the next one already, and nobody's answer shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from fakes.engine.constraints import Listed
from fakes.engine.deferred import DeferredWorld
from fakes.engine.runner import VOCABULARY, right_answer
from parfocal.engine import FinishReason, Request, Sampling, Stop
from parfocal.engine.constraints import Constraint
from parfocal.engine.scheduling import PlanRow

PROMPT = (1, 2, 3)


@dataclass
class Weather:
    """Keeps the rows of each step that is launched, marks those queued ahead, and fails when told to."""

    launched: list[list[str]] = field(default_factory=list)
    ahead: list[list[str]] = field(default_factory=list)
    rows: list[PlanRow] = field(default_factory=list)
    refuses: bool = False
    fails_next_wait: bool = False
    spoilt: str = ""

    def blows(self, seam: str, rows: Sequence[PlanRow]) -> None:
        if seam == "launch":
            self.launched.append([row.request_id for row in rows])
            self.rows += rows
        if seam == "wait" and self.fails_next_wait:
            self.fails_next_wait = False
            raise RuntimeError("out of memory")

    def spoils(self, row: PlanRow) -> bool:
        return row.request_id == self.spoilt

    def follows(self, rows: Sequence[PlanRow]) -> bool:
        if not self.refuses:
            self.ahead.append([row.request_id for row in rows])
        return not self.refuses


def opened(**sizes: object) -> tuple[DeferredWorld, Weather]:
    weather = Weather()
    return DeferredWorld(weather, overlaps=True, **sizes), weather


def check_answers(world: DeferredWorld, *names: str) -> None:
    """Checks that these got what they asked for, and that nothing is held."""
    assert world.late.faults == []
    for name in names:
        assert list(world.completions[name].token_ids) == world.answer(name)
    world.check_rest()


def test_the_device_has_the_next_step_before_the_host_reads_this_one() -> None:
    world, weather = opened()
    names = [world.submit(PROMPT, tokens=8), world.submit((4, 5), tokens=8)]
    busy = []
    for _ in range(7):
        world.engine.step()
        busy.append(len(world.late.queue) > 0)
    world.settle()

    assert all(busy)
    assert weather.ahead == [names] * 7  # every step but the first, of the prompts
    assert len(weather.launched) == 8
    check_answers(world, *names)


def test_a_device_that_needs_the_host_for_a_step_is_given_it_later() -> None:
    world, weather = opened()
    weather.refuses = True
    name = world.submit(PROMPT, tokens=4)
    world.settle()

    assert len(weather.launched) == 4
    check_answers(world, name)


def test_who_ends_is_computed_once_more_in_vain_and_frees_its_blocks_with_that_step() -> None:
    ending = right_answer(PROMPT, "", 2)[1]
    world, weather = opened(eos_ids=frozenset({ending}))
    name = world.submit(PROMPT, tokens=9)
    for _ in range(2):
        world.engine.step()

    assert world.engine.live == 1  # its last token is drawn, and not sent yet
    assert world.scheduler.running == []
    assert world.pool.free < world.pool.total
    world.check_invariants()
    world.engine.step()
    assert world.completions[name].finish_reason is FinishReason.STOP
    assert len(weather.launched) == 3
    assert not world.engine.step()
    world.check_rest()


def test_a_step_is_not_queued_for_those_whose_length_is_reached() -> None:
    world, weather = opened()
    short, long = world.submit(PROMPT, tokens=2), world.submit((4, 5), tokens=3)
    world.settle()

    assert weather.ahead == [[short, long], [long]]
    check_answers(world, short, long)


def test_a_request_that_is_given_up_frees_everything_within_a_step() -> None:
    world, _ = opened()
    left, stays = world.submit(PROMPT, tokens=20), world.submit((4, 5), tokens=20)
    for _ in range(3):
        world.engine.step()
    world.cancel(left)
    world.engine.step()

    assert world.completions[left].finish_reason is FinishReason.CANCELLED
    assert world.scheduler.leaving == []
    assert [s.request.request_id for s in world.scheduler] == [stays]
    world.check_invariants()
    world.settle()
    check_answers(world, stays)


def test_a_stop_string_found_late_leaves_nothing_behind() -> None:
    world, _ = opened()
    right = right_answer(PROMPT, "", 6)
    name = world.submit(PROMPT, tokens=20)
    world.lives[name].text._ends = (f"{right[3]},",)  # type: ignore[attr-defined]
    world.settle()

    done = world.completions[name]
    assert done.finish_reason is FinishReason.STOP_STRING
    assert list(done.token_ids) == right[: right.index(right[3]) + 1]
    world.check_rest()


@pytest.mark.parametrize(
    ("sampling", "constraint"),
    [
        (Sampling(frequency_penalty=0.5), None),
        (Sampling(repetition_penalty=1.1), None),
        (Sampling(), Listed((tuple(right_answer(PROMPT, "", 4)),), VOCABULARY)),
    ],
    ids=["frequency", "repetition", "constraint"],
)
def test_nothing_is_queued_for_a_request_whose_next_token_needs_the_last_one(
    sampling: Sampling, constraint: Constraint | None
) -> None:
    world, weather = opened()
    name = world.submit(PROMPT, tokens=4, sampling=sampling, constraint=constraint)
    other = world.submit((4, 5), tokens=4)
    world.settle()

    assert weather.ahead == []
    check_answers(world, name, other)


def test_a_draw_ahead_is_by_the_number_and_the_bans_of_its_own_place() -> None:
    world, weather = opened(eos_ids=frozenset({VOCABULARY}))
    world.engine.submit(Request("q", PROMPT, stop=Stop(max_tokens=4, min_tokens=2)), lambda item: None)
    world.settle()
    draws = [row.sampling for row in weather.rows if row.sampling is not None]

    assert len(weather.ahead) == 3
    assert [draw.position for draw in draws] == [0, 1, 2, 3]
    assert [draw.banned_ids for draw in draws] == [(VOCABULARY,), (VOCABULARY,), (), ()]


def test_nothing_is_queued_behind_a_prompt_that_is_not_done() -> None:
    world, weather = opened(max_batch_tokens=4)
    name = world.submit(tuple(range(10)), tokens=3)
    for _ in range(2):
        world.engine.step()
    assert weather.ahead == []
    world.settle()
    check_answers(world, name)


def test_who_comes_begins_after_the_step_that_is_queued() -> None:
    world, weather = opened()
    first = world.submit(PROMPT, tokens=20)
    for _ in range(3):
        world.engine.step()
    second = world.submit((4, 5), tokens=4)
    for _ in range(2):
        world.engine.step()

    assert weather.launched[-2:] == [[first, second], [first, second]]
    world.settle()
    check_answers(world, first, second)


def test_who_waits_for_an_adapter_or_for_room_holds_up_nothing_and_is_fetched_meanwhile() -> None:
    world, weather = opened(max_requests=2, slots=2)
    running = world.submit(PROMPT, tokens=16)
    for _ in range(2):
        world.engine.step()
    asked = [world.submit((4, 5), "a", tokens=4), world.submit((6, 7), "b", tokens=4)]
    before = len(weather.ahead)
    for _ in range(4):
        world.engine.step()

    assert len(weather.ahead) == before + 4
    assert [adapter.digest for adapter in world.loader.pending] == ["a", "b"]
    world.settle()
    check_answers(world, running, *asked)


def test_blocks_that_run_out_end_no_answer() -> None:
    world, _ = opened(blocks=6, max_requests=3)
    names = [world.submit((at, 1), tokens=9) for at in range(3)]
    world.settle()

    check_answers(world, *names)


def test_what_is_queued_behind_a_step_that_fails_is_forgotten_and_its_requests_go_on() -> None:
    world, weather = opened()
    names = [world.submit(PROMPT, tokens=8), world.submit((4, 5), tokens=8)]
    world.engine.step()
    for _ in range(2):
        weather.fails_next_wait = True
        world.engine.step()
        assert not world.errors
    world.settle()

    check_answers(world, *names)


def test_a_row_that_goes_wrong_ends_alone_though_it_is_in_the_queued_step_too() -> None:
    world, weather = opened()
    broken, good = world.submit(PROMPT, tokens=8), world.submit((4, 5), tokens=8)
    for _ in range(2):
        world.engine.step()
    weather.spoilt = broken
    world.settle()

    assert "NaN" in str(world.errors[broken])
    check_answers(world, good)
