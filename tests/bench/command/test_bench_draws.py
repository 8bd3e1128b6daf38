"""What chance decides in a bench: popularity, lengths, arrivals; always the same for the same seed."""

import random
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.rivals.peft_batch import padded
from parfocal.bench.errors import BadWorkload
from parfocal.bench.limits.roofline import decode_need
from parfocal.bench.limits.stored import Stored
from parfocal.bench.workloads.calls import (
    adapters_of_batch,
    adapters_of_round,
    calls_of_round,
    ranks_of_batch,
)
from parfocal.bench.workloads.draws import poisson_arrivals, popular_numbers, uniform_lengths
from parfocal.bench.workloads.notation import lengths_in, numbers_in, ranks_in, rate_in, sweep_in
from parfocal.bench.workloads.workload import Workload

SMALL = Workload("llama-test", requests=12, adapters=3, rank=4, prompt_tokens=24, new_tokens=8)
SEEDS = st.integers(0, 2**32)
COUNTS = st.integers(1, 50)


@given(SEEDS, st.floats(0.0, 4.0), COUNTS, COUNTS)
def test_popular_numbers_are_of_those_there_are_and_come_again_with_the_seed(
    seed: int, exponent: float, among: int, count: int
) -> None:
    drawn = popular_numbers(random.Random(seed), exponent, among, count)

    assert len(drawn) == count
    assert set(drawn) <= set(range(among))
    assert drawn == popular_numbers(random.Random(seed), exponent, among, count)


def test_the_second_adapter_is_half_as_popular_as_the_first_at_exponent_one() -> None:
    drawn = popular_numbers(random.Random(0), 1.0, 4, 20_000)
    counts = [drawn.count(number) for number in range(4)]

    assert [counts[0] / count for count in counts] == pytest.approx([1, 2, 3, 4], rel=0.1)


def test_all_adapters_are_as_popular_at_exponent_zero() -> None:
    drawn = popular_numbers(random.Random(0), 0.0, 4, 20_000)

    assert [drawn.count(number) for number in range(4)] == pytest.approx([5000] * 4, rel=0.1)


@given(SEEDS, st.integers(1, 20), st.integers(0, 20), COUNTS)
def test_lengths_stay_in_their_range_and_come_again_with_the_seed(
    seed: int, shortest: int, more: int, count: int
) -> None:
    drawn = uniform_lengths(random.Random(seed), shortest, shortest + more, count)

    assert len(drawn) == count
    assert all(shortest <= length <= shortest + more for length in drawn)
    assert drawn == uniform_lengths(random.Random(seed), shortest, shortest + more, count)


@given(SEEDS, st.floats(0.01, 1e4), COUNTS)
def test_arrivals_begin_at_zero_never_go_back_and_come_again_with_the_seed(
    seed: int, rate: float, count: int
) -> None:
    drawn = poisson_arrivals(random.Random(seed), rate, count)

    assert len(drawn) == count
    assert drawn[0] == 0.0
    assert drawn == sorted(drawn)
    assert drawn == poisson_arrivals(random.Random(seed), rate, count)


def test_arrivals_have_the_rate_that_was_asked_for_and_gaps_as_irregular_as_chance() -> None:
    drawn = poisson_arrivals(random.Random(0), 5.0, 20_001)
    gaps = [later - earlier for earlier, later in pairwise(drawn)]
    mean = sum(gaps) / len(gaps)

    assert mean == pytest.approx(0.2, rel=0.05)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(0.04, rel=0.1)


def test_requests_arrive_at_once_unless_there_is_a_rate() -> None:
    assert {call.arrives_s for call in calls_of_round(SMALL, 0, False)} == {0.0}

    spread = [call.arrives_s for call in calls_of_round(replace(SMALL, rate=2.0), 0, False)]
    assert len(set(spread)) == SMALL.requests


def test_a_base_only_round_differs_from_its_pair_in_adapters_and_tokens_alone() -> None:
    work = replace(SMALL, rate=3.0, zipf=1.0, shortest_prompt=10)
    pairs = zip(calls_of_round(work, 4, False), calls_of_round(work, 4, True), strict=True)

    for mixed, base in pairs:
        assert (len(mixed.prompt_ids), mixed.arrives_s) == (len(base.prompt_ids), base.arrives_s)
        assert (mixed.adapter != "", base.adapter) == (True, "")
        assert mixed.prompt_ids != base.prompt_ids


def test_a_rate_changes_nothing_but_the_arrivals() -> None:
    work = replace(SMALL, zipf=1.0, shortest_prompt=10)
    spread = calls_of_round(replace(work, rate=3.0), 0, False)

    assert [replace(call, arrives_s=0.0) for call in spread] == calls_of_round(work, 0, False)


def test_the_requests_of_an_adapter_begin_alike_and_no_others_do() -> None:
    calls = calls_of_round(replace(SMALL, shared_prefix=16), 0, False)
    beginnings = defaultdict(set)
    for call in calls:
        beginnings[call.adapter].add(call.prompt_ids[:16])

    assert [len(found) for found in beginnings.values()] == [1, 1, 1]
    assert len(set.union(*beginnings.values())) == 3
    assert len({call.prompt_ids for call in calls}) == SMALL.requests


def test_no_two_rounds_share_a_beginning() -> None:
    work = replace(SMALL, shared_prefix=16)
    first, second = (
        {call.prompt_ids[:16] for call in calls_of_round(work, number, False)} for number in (0, 1)
    )

    assert first.isdisjoint(second)


def test_ranks_go_round_the_adapters_and_a_step_reads_each_distinct_one_once() -> None:
    work = replace(SMALL, adapters=5, ranks=(8, 8, 128))

    assert [work.rank_of(number) for number in range(5)] == [8, 8, 128, 8, 8]
    assert sorted(ranks_of_batch(work)) == [8, 8, 8, 8, 128]
    full = Stored("float32", "float32", "float32", "float32")
    small, mixed = (decode_need(work, full, rows).bytes.adapters for rows in ((0, 1, 0), (0, 2)))
    assert mixed == 17 * small / 2


def test_only_adapters_that_are_named_are_read() -> None:
    work = replace(SMALL, adapters=1000, zipf=2.0)

    assert len(ranks_of_batch(work)) == len(set(adapters_of_round(work, 0))) <= SMALL.requests


def test_a_batch_names_no_more_adapters_than_there_are_slots() -> None:
    work = replace(SMALL, requests=9, adapters=3, slots=2, max_requests=5)

    assert adapters_of_batch(work) == [0, 1, 0, 1, 0]
    assert adapters_of_batch(replace(work, slots=3)) == [0, 1, 2, 0, 1]


def test_a_batch_holds_all_requests_or_sixty_four_of_a_stream() -> None:
    assert replace(SMALL, requests=300).batch == 300
    assert replace(SMALL, requests=300, rate=1.0).batch == 64
    assert replace(SMALL, requests=300, rate_share=0.5).batch == 64
    assert replace(SMALL, requests=300, in_flight=20).batch == 20
    assert replace(SMALL, requests=300, rate=1.0, max_requests=100).batch == 100


def test_a_rate_is_a_number_or_a_share() -> None:
    assert (rate_in("2.5"), rate_in(" 50% ")) == ((2.5, None), (None, 0.5))
    with pytest.raises(BadWorkload, match="such as 50%"):
        rate_in("fast")
    assert replace(SMALL, requests=3, rate=1.0).batch == 3


def test_prompts_of_several_lengths_are_padded_before_their_beginning() -> None:
    calls = calls_of_round(replace(SMALL, shortest_prompt=2), 0, False)
    ids, mask = padded(calls)

    assert len({len(row) for row in (*ids, *mask)}) == 1
    for call, row, counted in zip(calls, ids, mask, strict=True):
        assert tuple(row[-len(call.prompt_ids) :]) == call.prompt_ids
        assert counted == [0] * (len(row) - len(call.prompt_ids)) + [1] * len(call.prompt_ids)


@given(st.lists(st.tuples(st.integers(1, 256), st.integers(1, 9)), min_size=1, max_size=9))
def test_ranks_are_read_as_they_are_written(parts: list[tuple[int, int]]) -> None:
    text = ",".join(f"{rank}x{count}" for rank, count in parts)

    assert ranks_in(text) == tuple(rank for rank, count in parts for _ in range(count))


@pytest.mark.parametrize("text", ["", "8y3", "8x", "x8", "-8", "8,,8", "8x0"])
def test_ranks_that_cannot_be_read_are_quoted(text: str) -> None:
    with pytest.raises(BadWorkload, match="8x15,128") as refusal:
        ranks_in(text)

    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("text", ["", "a", "64-", "-64", "1-2-3", "1.5"])
def test_lengths_that_cannot_be_read_are_quoted(text: str) -> None:
    with pytest.raises(BadWorkload, match="such as 64-256") as refusal:
        lengths_in(text)

    assert repr(text) in str(refusal.value)


def test_a_sweep_is_sorted_and_names_what_it_sweeps() -> None:
    assert sweep_in("adapters=4,1,4,2") == (1, 2, 4)
    for text in ("requests=1,2", "1,2", "adapters="):
        with pytest.raises(BadWorkload, match="adapters=1,2,4,8"):
            sweep_in(text)


def test_a_list_that_runs_backwards_is_refused_with_the_right_order() -> None:
    with pytest.raises(BadWorkload, match="write 0-15"):
        numbers_in("15-0", "endpoint_lora_ids")


@pytest.mark.parametrize(
    ("field", "changed", "said"),
    [
        ("rate", {"rate": 0.0}, "rate is 0"),
        ("rate", {"rate": float("nan")}, "rate is nan"),
        ("zipf", {"zipf": -1.0}, "zipf is -1"),
        ("slots", {"slots": 0}, "slots is 0"),
        ("max_requests", {"max_requests": 0}, "max_requests is 0"),
        ("shared_prefix", {"shared_prefix": -1}, "must not be negative"),
        ("shared_prefix", {"shared_prefix": 10, "shortest_prompt": 10}, "shortest prompt has 10 tokens"),
        ("prompt_tokens", {"shortest_prompt": 25}, "give 24-25"),
        ("ranks", {"ranks": (8, 0)}, "a rank is 0"),
        ("ranks", {"ranks": (8,) * 4}, "names 4 ranks for 3 adapters"),
        ("sweep", {"sweep": (1, 4)}, "12 requests on 3 adapters can name 1 to 3"),
        ("sweep", {"sweep": (0,)}, "asks for 0"),
    ],
)
def test_a_workload_that_contradicts_itself_is_refused_by_name(
    field: str, changed: dict[str, object], said: str
) -> None:
    with pytest.raises(BadWorkload, match=said) as refusal:
        replace(SMALL, **changed).check()  # type: ignore[arg-type]  # each row has its field's type

    assert refusal.value.field == field
