"""A request with a constraint ends where that ends, says when it was cut short, and disturbs nobody."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from fakes.engine.constraints import Listed
from fakes.engine.engines import World
from fakes.engine.runner import VOCABULARY, FakeRunner
from parfocal.engine import (
    Completion,
    ConstraintFailed,
    Delta,
    FinishReason,
    InvalidRequest,
    Request,
    Stop,
)
from parfocal.engine.scheduling.plan import Plan, PlanRow, SampledToken

PROMPT = (1, 2, 3)
EOS = 96


class ObedientRunner(FakeRunner):
    """Draws the lowest allowed token where there is a constraint, the right one where there is none."""

    def run(self, plan: Plan, meanwhile: Callable[[], None]) -> list[SampledToken | None]:
        """Answers as the real runner does."""
        drawn = super().run(plan, meanwhile)
        return [_held(row, token) for row, token in zip(plan.rows, drawn, strict=True)]


def _held(row: PlanRow, token: SampledToken | None) -> SampledToken | None:
    if token is None or row.sampling is None or row.sampling.constraint is None:
        return token
    try:
        bits = row.sampling.constraint.allowed()
    except ConstraintFailed as failure:
        return SampledToken(-1, error=str(failure), refusal=failure)
    free = set(range(VOCABULARY)) - set(row.sampling.banned_ids)
    return SampledToken(min(one for one in free if bits[one // 8] >> one % 8 & 1))


@dataclass
class ObedientWorld(World):
    """A small engine that keeps to constraints."""

    runner_type: type[FakeRunner] = ObedientRunner
    eos_ids: frozenset[int] = frozenset({EOS})


def listed(*answers: tuple[int, ...], eos: int | None = EOS) -> Listed:
    return Listed(answers, VOCABULARY, eos)


def ask(world: World, constraint: Listed, stop: Stop | None = None) -> Completion:
    """Returns the answer of an engine that sends at once, which is that of one that sends a step later."""
    later = _asked(replace(world, overlaps=True), constraint, stop or Stop())
    now = _asked(world, constraint, stop or Stop())
    assert replace(later, timings=now.timings) == now
    return now


def _asked(world: World, constraint: Listed, stop: Stop) -> Completion:
    items = list[Delta | Exception]()
    world.engine.submit(Request("q", PROMPT, stop=stop, constraint=constraint), items.append)
    while world.engine.live:
        world.engine.step()
    last = items[-1]
    assert isinstance(last, Delta) and last.completion is not None
    return last.completion


def test_an_answer_that_cannot_go_on_ends_with_its_last_tokens_text() -> None:
    done = ask(ObedientWorld(), listed((7, 8, 9)))

    assert done.finish_reason is FinishReason.STOP
    assert done.token_ids == (7, 8, 9)
    assert done.text == "7,8,9,"
    assert done.constraint_met is True


def test_where_an_answer_may_go_on_or_end_an_end_token_ends_it() -> None:
    early = ask(ObedientWorld(eos_ids=frozenset({5})), listed((7,), (7, 8), eos=5))
    assert early.token_ids == (7, 5)
    assert early.text == "7,"
    assert early.constraint_met is True


@pytest.mark.parametrize("stop", [Stop(ignore_eos=True), Stop(min_tokens=2)], ids=["ignored", "too early"])
def test_an_end_token_that_is_ignored_or_comes_too_early_is_not_drawn(stop: Stop) -> None:
    done = ask(ObedientWorld(eos_ids=frozenset({5})), listed((7,), (7, 8), eos=5), stop)

    assert done.token_ids == (7, 8)
    assert done.finish_reason is FinishReason.STOP
    assert done.constraint_met is True


def test_an_answer_that_is_complete_before_its_least_length_ends_all_the_same() -> None:
    done = ask(ObedientWorld(), listed((7, 8)), Stop(min_tokens=20, max_tokens=30))

    assert done.token_ids == (7, 8)
    assert done.constraint_met is True


@pytest.mark.parametrize(("most", "reason", "met"), [(2, "length", False), (3, "stop", True)])
def test_an_answer_that_was_cut_off_says_so(most: int, reason: str, met: bool) -> None:
    done = ask(ObedientWorld(), listed((7, 8, 9)), Stop(max_tokens=most))

    assert done.finish_reason.value == reason
    assert done.constraint_met is met


def test_an_answer_that_could_have_gone_on_at_its_length_meets_the_constraint() -> None:
    done = ask(ObedientWorld(), listed((7, 8), (7, 8, 9)), Stop(max_tokens=2, ignore_eos=True))

    assert done.finish_reason is FinishReason.LENGTH
    assert done.constraint_met is True


def test_a_stop_string_or_stop_token_cuts_what_the_constraint_asks_for() -> None:
    by_text = ask(ObedientWorld(), listed((7, 8, 9)), Stop(strings=("8,",)))
    by_token = ask(ObedientWorld(), listed((7, 8, 9)), Stop(token_ids=(8,)))

    assert (by_text.finish_reason, by_text.constraint_met) == (FinishReason.STOP_STRING, False)
    assert (by_token.finish_reason, by_token.constraint_met) == (FinishReason.STOP, False)


def test_without_a_constraint_nothing_is_said_about_one() -> None:
    world = ObedientWorld()
    name = world.submit(PROMPT)
    world.settle()

    assert world.completions[name].constraint_met is None


def test_each_request_has_its_own_state_and_free_ones_beside_it_are_left_alone() -> None:
    world, constraint = ObedientWorld(), listed((7, 8, 9, 10))
    held = [world.submit(PROMPT, tokens=9, constraint=constraint) for _ in range(2)]
    free = world.submit(PROMPT, tokens=9)
    world.settle()

    assert constraint.started == 2
    assert [world.completions[name].token_ids for name in held] == [(7, 8, 9, 10)] * 2
    assert list(world.completions[free].token_ids) == world.answer(free)
    world.check_rest()


def test_preemption_does_not_lose_what_was_accepted() -> None:
    world = ObedientWorld(blocks=8)
    answer = tuple(range(40, 52))
    held = [world.submit((n, n, n), tokens=16, constraint=listed(answer)) for n in range(3)]
    world.settle()

    recomputed = [row for plan in world.runner.plans for row in plan.rows if len(row.token_ids) > 4]
    assert recomputed, "nothing was preempted, so that this shows nothing"
    assert [world.completions[name].token_ids for name in held] == [answer] * 3
    world.check_rest()


def test_a_constraint_that_fails_ends_its_own_request_with_its_own_status() -> None:
    world = ObedientWorld()
    stuck = world.submit(PROMPT, constraint=listed())
    other = world.submit(PROMPT)
    world.settle()

    assert isinstance(world.errors[stuck], ConstraintFailed)
    assert list(world.completions[other].token_ids) == world.answer(other)
    world.check_rest()


def test_a_constraint_for_another_vocabulary_is_refused() -> None:
    world = ObedientWorld()

    with pytest.raises(InvalidRequest, match=f"98 tokens, but the base has {VOCABULARY}"):
        world.engine.submit(Request("q", PROMPT, constraint=Listed(((1,),), 98)), lambda item: None)
