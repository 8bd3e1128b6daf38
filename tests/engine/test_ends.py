"""Where a request ends: its own stop tokens, the base's, its length, the context; never before its least."""

import time
from dataclasses import replace

import pytest

from fakes.engine.engines import CONTEXT, NumberText, World
from fakes.engine.runner import VOCABULARY, right_answer
from parfocal.engine import Completion, Delta, FinishReason, Request, SendingFailed, Stop
from parfocal.engine.live import LiveRequest
from parfocal.engine.observer import LoadReport, SilentObserver, StepReport

PROMPT = (1, 2, 3)
RIGHT = right_answer(PROMPT, "", CONTEXT - len(PROMPT))
ENDING = RIGHT[4]
NEVER_SAID, NOR_THIS = [token for token in range(VOCABULARY) if token not in RIGHT][:2]
UNTIL_ENDING = RIGHT[: RIGHT.index(ENDING) + 1]


def ask(world: World, stop: Stop) -> Completion:
    """Returns the answer of an engine that sends at once, which is that of one that sends a step later."""
    later = _asked(replace(world, overlaps=True), stop)
    now = _asked(world, stop)
    assert replace(later, timings=now.timings) == now
    return now


def _asked(world: World, stop: Stop) -> Completion:
    items = list[Delta | Exception]()
    world.engine.submit(Request("q", PROMPT, stop=stop), items.append)
    while world.engine.live:
        world.engine.step()
    assert isinstance(items[-1], Delta)
    assert items[-1].completion is not None
    return items[-1].completion


@pytest.mark.parametrize(
    ("eos", "stop"),
    [
        ({ENDING}, Stop()),
        (set(), Stop(token_ids=(ENDING,))),
        ({ENDING}, Stop(token_ids=(ENDING,), ignore_eos=True)),
    ],
    ids=["the base's", "its own", "its own though the base's is ignored"],
)
def test_an_ending_token_ends_a_request_and_is_its_last(eos: set[int], stop: Stop) -> None:
    done = ask(World(eos_ids=frozenset(eos)), stop)

    assert done.finish_reason is FinishReason.STOP
    assert list(done.token_ids) == UNTIL_ENDING


def test_without_ending_tokens_a_request_goes_on_to_its_length_or_the_contexts_end() -> None:
    for stop, length in ((Stop(max_tokens=9), 9), (Stop(), len(RIGHT)), (Stop(max_tokens=10**6), len(RIGHT))):
        done = ask(World(), stop)
        assert done.finish_reason is FinishReason.LENGTH
        assert list(done.token_ids) == RIGHT[:length]


def test_the_bases_ending_token_is_only_a_token_when_it_is_to_be_ignored() -> None:
    done = ask(World(eos_ids=frozenset({ENDING})), Stop(max_tokens=9, ignore_eos=True))

    assert list(done.token_ids) == RIGHT[:9]


def test_an_ending_token_that_is_also_the_last_allowed_one_counts_as_a_stop() -> None:
    done = ask(World(eos_ids=frozenset({ENDING})), Stop(max_tokens=len(UNTIL_ENDING)))

    assert done.finish_reason is FinishReason.STOP


@pytest.mark.parametrize("least", [0, 1, 3])
def test_ending_tokens_may_not_be_drawn_before_the_least_length(least: int) -> None:
    world = World(eos_ids=frozenset({NEVER_SAID}))
    ask(world, Stop(max_tokens=5, min_tokens=least, token_ids=(NOR_THIS,)))

    banned = [
        set(row.sampling.banned_ids) for plan in world.runner.plans for row in plan.rows if row.sampling
    ]
    assert banned == [{NEVER_SAID, NOR_THIS}] * least + [set()] * (5 - least)


def test_without_a_prefix_cache_every_prompt_is_computed_whole() -> None:
    world = World(prefix_cache=False)
    for _ in range(2):
        name = world.submit(tuple(range(11)), tokens=1)
        world.settle()

    assert world.completions[name].cached_tokens == 0
    assert [len(plan.rows[0].token_ids) for plan in world.runner.plans] == [11, 11]
    assert world.pool.cached == 0


@pytest.mark.parametrize("overlaps", [False, True], ids=["at once", "while the next step is computed"])
def test_a_stop_string_ends_a_request_wherever_it_is_found_and_nobody_else(overlaps: bool) -> None:
    world = World(overlaps=overlaps)
    items = list[Delta | Exception]()
    stop = Stop(strings=(f"{ENDING},",))
    world.engine.submit(Request("q", PROMPT, stop=stop), items.append)
    other = world.submit((4, 5), tokens=20)
    world.settle()

    last = items[-1]
    assert isinstance(last, Delta) and last.completion is not None
    assert last.completion.finish_reason is FinishReason.STOP_STRING
    assert list(last.completion.token_ids) == UNTIL_ENDING
    assert [token for item in items if isinstance(item, Delta) for token in item.token_ids] == UNTIL_ENDING
    assert list(world.completions[other].token_ids) == world.answer(other)
    world.check_rest()


@pytest.mark.parametrize("overlaps", [False, True], ids=["at once", "while the next step is computed"])
def test_who_leaves_gets_the_text_of_all_tokens_that_were_drawn(overlaps: bool) -> None:
    world = World(overlaps=overlaps)
    items = list[Delta | Exception]()
    live = world.engine.submit(Request("q", PROMPT, stop=Stop(max_tokens=50)), items.append)
    for _ in range(5):
        world.engine.step()
    world.engine.cancel(live)
    world.settle()

    last = items[-1]
    assert isinstance(last, Delta) and last.completion is not None
    assert last.completion.finish_reason is FinishReason.CANCELLED
    assert last.completion.text == "".join(f"{token}," for token in last.completion.token_ids)
    assert "".join(item.text for item in items if isinstance(item, Delta)) == last.completion.text


class Loads(SilentObserver):
    """Remembers the figures of what is left."""

    def __init__(self) -> None:
        self.left: list[tuple[int, int, int]] = []

    def step(self, report: StepReport) -> None:
        self.left.append((report.running, report.waiting, report.blocks_used))

    def load(self, report: LoadReport) -> None:
        self.left.append((report.running, report.waiting, report.blocks_used))


@pytest.mark.parametrize("overlaps", [False, True], ids=["at once", "while the next step is computed"])
def test_once_all_callers_have_left_the_figures_say_so_though_no_step_follows(overlaps: bool) -> None:
    loads = Loads()
    world = World(overlaps=overlaps, observer=loads, max_requests=2)
    lives = [
        world.engine.submit(Request(f"q{n}", PROMPT, stop=Stop(max_tokens=50)), _ignored) for n in range(3)
    ]
    for _ in range(3):
        world.engine.step()
    assert loads.left[-1][:2] == (2, 1) and loads.left[-1][2] > 0
    for live in lives:
        world.engine.cancel(live)
    assert not world.engine.step()
    assert loads.left[-1] == (0, 0, 0)

    told = len(loads.left)
    assert not world.engine.step()
    assert len(loads.left) == told


def _ignored(item: Delta | Exception) -> None:
    """For callers who read nothing."""


@pytest.mark.parametrize(("overlaps", "after"), [(False, [1, 2, 3]), (True, [0, 1, 2])])
def test_tokens_are_sent_at_once_or_while_the_next_step_is_computed(overlaps: bool, after: list[int]) -> None:
    world = World(overlaps=overlaps)
    items = list[Delta | Exception]()
    world.engine.submit(Request("q", PROMPT, stop=Stop(max_tokens=9)), items.append)
    seen = []
    for _ in after:
        world.engine.step()
        seen.append(len(items))

    assert seen == after
    world.settle()
    assert world.engine.step() is False


def _taken(world: World, stop: Stop, items: list[Delta | Exception]) -> LiveRequest:
    return world.engine.submit(Request("q", PROMPT, stop=stop), items.append)


def _completion(items: list[Delta | Exception]) -> Completion:
    last = items[-1]
    assert isinstance(last, Delta) and last.completion is not None
    return last.completion


@pytest.mark.parametrize("overlaps", [False, True], ids=["at once", "while the next step is computed"])
@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (Stop(token_ids=(RIGHT[0],)), FinishReason.STOP),
        (Stop(strings=(f"{RIGHT[0]},",)), FinishReason.STOP_STRING),
        (Stop(max_tokens=1), FinishReason.LENGTH),
    ],
    ids=["a stop token", "a stop string", "its length"],
)
def test_who_leaves_when_the_answer_is_complete_gets_it_as_it_ended(
    overlaps: bool, stop: Stop, reason: FinishReason
) -> None:
    world, items = World(overlaps=overlaps), list[Delta | Exception]()
    live = _taken(world, stop, items)
    world.engine.step()
    world.engine.cancel(live)
    world.engine.step()

    done = _completion(items)
    assert done.finish_reason is reason
    assert list(done.token_ids) == RIGHT[:1]
    assert done.text == ("" if reason is FinishReason.STOP else f"{RIGHT[0]},")
    world.settle()
    assert len([item for item in items if isinstance(item, Delta) and item.completion]) == 1


def test_a_deadline_that_passes_when_the_answer_is_complete_changes_nothing() -> None:
    world, items = World(overlaps=True), list[Delta | Exception]()
    live = _taken(world, Stop(strings=(f"{RIGHT[0]},",)), items)
    world.engine.step()
    live.sequence.request = replace(live.sequence.request, deadline=time.monotonic() - 1)
    world.settle()

    assert _completion(items).finish_reason is FinishReason.STOP_STRING


@pytest.mark.parametrize("overlaps", [False, True], ids=["at once", "while the next step is computed"])
def test_an_id_sent_again_in_the_moment_of_its_end_has_an_answer_of_its_own(overlaps: bool) -> None:
    world, first, second = World(overlaps=overlaps), list[Delta | Exception](), list[Delta | Exception]()

    def again(item: Delta | Exception) -> None:
        first.append(item)
        if isinstance(item, Delta) and item.completion is not None:
            _taken(world, Stop(max_tokens=4), second)

    live = world.engine.submit(Request("q", PROMPT, stop=Stop(max_tokens=20)), again)
    other = world.submit((4, 5, 6), tokens=1)
    world.engine.step()
    world.engine.cancel(live)
    world.settle()

    assert _completion(first).finish_reason is FinishReason.CANCELLED
    assert list(_completion(second).token_ids) == RIGHT[:4]
    assert list(world.completions[other].token_ids) == world.answer(other)
    world.check_invariants()


def test_leaving_a_request_that_has_ended_leaves_alone_the_one_that_has_its_id_now() -> None:
    world, first, second = World(overlaps=True), list[Delta | Exception](), list[Delta | Exception]()
    ended = _taken(world, Stop(max_tokens=1), first)
    world.settle()
    _taken(world, Stop(max_tokens=6), second)
    world.engine.step()
    world.engine.cancel(ended)
    world.settle()

    assert list(_completion(second).token_ids) == RIGHT[:6]


@pytest.mark.parametrize("overlaps", [False, True], ids=["at once", "while the next step is computed"])
@pytest.mark.parametrize("last", [0, 2, 5], ids=["at its first delta", "later", "at its end"])
def test_a_caller_that_fails_ends_alone(overlaps: bool, last: int) -> None:
    world, items = World(overlaps=overlaps), list[Delta | Exception]()

    def fail(item: Delta | Exception) -> None:
        items.append(item)
        if len(items) > last:
            raise OSError("the caller is gone")

    world.engine.submit(Request("q", PROMPT, stop=Stop(max_tokens=6)), fail)
    other = world.submit((4, 5), tokens=9)
    world.settle()

    assert list(world.completions[other].token_ids) == world.answer(other)
    assert len(items) == (6 if last == 5 else last + 2)
    assert isinstance(items[-1], SendingFailed) or last == 5
    assert world.engine.live == 0
    world.check_rest()


@pytest.mark.parametrize("overlaps", [False, True], ids=["at once", "while the next step is computed"])
def test_a_text_that_fails_ends_its_own_request(overlaps: bool) -> None:
    class Unreadable(NumberText):
        def push(self, token_ids: list[int], *, may_stop: bool = True) -> str:
            if "no text" in self._ends and token_ids:
                raise KeyError("no such token")
            return super().push(token_ids, may_stop=may_stop)

    world, items = World(overlaps=overlaps, text=Unreadable), list[Delta | Exception]()
    _taken(world, Stop(max_tokens=6, strings=("no text",)), items)
    other = world.submit((4, 5), tokens=9)
    world.settle()

    assert [type(item) for item in items] == [SendingFailed]
    assert "no such token" in str(items[0])
    assert list(world.completions[other].token_ids) == world.answer(other)
    world.check_rest()


def test_a_stop_string_found_while_a_step_runs_gives_nothing_back_before_the_device_has_left_it() -> None:
    """The step still computes in the request's blocks and with its adapter."""
    world, held = World(overlaps=True), list[int]()
    items = list[Delta | Exception]()
    live = _taken(world, Stop(strings=(f"{RIGHT[0]},",)), items)
    world.engine.step()
    assert not items
    world.runner.after_sending = lambda: held.append(len(live.sequence.blocks))
    world.engine.step()

    assert _completion(items).finish_reason is FinishReason.STOP_STRING
    assert held == [1]
    assert live.sequence.blocks == []
    world.check_invariants()
