"""What a bench does to a target: rounds, rivals, sweeps; all with made-up times."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from parfocal.bench.load.rounds import Answer, Round
from parfocal.bench.load.saturation import find_saturation
from parfocal.bench.load.stages import SilentStages
from parfocal.bench.load.under_load import Alternative, put_under_load, rounds_of_load
from parfocal.bench.workloads.calls import Call
from parfocal.bench.workloads.workload import Workload

WORK = Workload(
    "llama-test",
    requests=4,
    adapters=4,
    rank=4,
    prompt_tokens=24,
    new_tokens=8,
    warmup=1,
    repeats=2,
    rate=50.0,
    zipf=1.0,
    slots=2,
    sweep=(1, 4),
)
CLOSED = replace(WORK, rate=None)


@dataclass
class FakeTarget:
    """Answers at once; the n-th round takes n seconds."""

    name: str = "fake"
    answers_base: bool = True
    rounds: list[list[Call]] = field(default_factory=list)

    def run_round(self, calls: Sequence[Call], new_tokens: int) -> Round:
        self.rounds.append(list(calls))
        return Round(len(self.rounds), len(calls) * new_tokens, (Answer(0.5, (0.1,), 0),) * len(calls))


class CountedStages(SilentStages):
    """Counts what is done."""

    count = 0

    def done(self) -> None:
        self.count += 1


def _distinct(calls: Sequence[Call]) -> int:
    return len({call.adapter for call in calls})


def test_every_kind_of_round_takes_its_turn_and_the_sweep_is_never_warmed_up() -> None:
    target, stages = FakeTarget(), CountedStages()
    put_under_load(target, CLOSED, stages)

    has_adapters = [calls[0].adapter != "" for calls in target.rounds]
    assert has_adapters == [True, False] + [True, False, True, True] * 2
    assert [_distinct(target.rounds[place]) for place in (4, 5, 8, 9)] == [1, 4, 1, 4]
    assert stages.count == len(target.rounds) == rounds_of_load(WORK)


def test_a_sweep_keeps_the_rate_and_sends_everything_at_once_where_there_is_none() -> None:
    arrivals = []
    for work in (WORK, CLOSED):
        target = FakeTarget()
        put_under_load(target, work, SilentStages())
        arrivals.append(len({call.arrives_s for call in target.rounds[4]}))

    assert arrivals == [WORK.requests, 1]


def test_an_alternative_takes_turns_with_prompts_of_its_own() -> None:
    target, other, work = FakeTarget(), FakeTarget(), replace(WORK, sweep=())
    load = put_under_load(target, work, SilentStages(), Alternative(other, replace(work, adapters=1)))

    assert load.alternative is not None and load.alternative.rounds == (
        work.generated_tokens / 2,
        work.generated_tokens / 3,
    )
    assert {call.adapter for calls in other.rounds for call in calls} == {"bench/adapter-0"}
    prompts = [call.prompt_ids for calls in (*target.rounds, *other.rounds) for call in calls]
    assert len(set(prompts)) == len(prompts)


def test_saturation_is_what_a_server_manages_when_all_requests_come_at_once() -> None:
    target = FakeTarget()
    found = find_saturation(target, replace(WORK, rate=None, rate_share=0.5), SilentStages())

    assert found is not None
    assert found.requests_per_second == (WORK.requests / 2 + WORK.requests / 3) / 2
    assert found.rate == found.requests_per_second / 2
    assert {call.arrives_s for calls in target.rounds for call in calls} == {0.0}
    assert find_saturation(target, WORK, SilentStages()) is None


def test_no_two_rounds_of_a_load_share_a_prompt() -> None:
    target = FakeTarget()
    put_under_load(target, WORK, SilentStages())
    prompts = [call.prompt_ids for calls in target.rounds for call in calls]

    assert len(set(prompts)) == len(prompts)


def test_only_timed_rounds_count_and_each_kind_for_itself() -> None:
    load = put_under_load(FakeTarget(), WORK, SilentStages())

    tokens = WORK.generated_tokens
    assert load.base_only is not None
    assert load.mixed.rounds == (tokens / 3, tokens / 7)
    assert load.base_only.rounds == (tokens / 4, tokens / 8)
    assert {count: figures.rounds for count, figures in load.sweep.items()} == {
        1: (tokens / 5, tokens / 9),
        4: (tokens / 6, tokens / 10),
    }


def test_a_target_that_does_not_answer_for_the_base_is_not_asked() -> None:
    target = FakeTarget(answers_base=False)
    load = put_under_load(target, WORK, SilentStages())

    assert load.base_only is None
    assert all(call.adapter for calls in target.rounds for call in calls)
