"""What a bench asks for, and how it counts what it got."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.cli.benching.calls import calls_of_round
from parfocal.cli.benching.errors import BadWorkload
from parfocal.cli.benching.figures import figures_of, percentile
from parfocal.cli.benching.limit import decode_limit, step_bytes
from parfocal.cli.benching.rounds import Answer, Round
from parfocal.cli.benching.shapes import SHAPES
from parfocal.cli.benching.workload import WARMUP_ROUND, Workload

SMALL = Workload("llama-test", requests=5, adapters=2, rank=4, prompt_tokens=24, new_tokens=8)


def test_requests_name_the_adapters_in_turn() -> None:
    first, second = SMALL.adapter_names()

    assert [call.adapter for call in calls_of_round(SMALL, 0, False)] == [first, second, first, second, first]


def test_requests_of_a_base_only_round_name_none() -> None:
    assert {call.adapter for call in calls_of_round(SMALL, 0, True)} == {""}


def test_no_two_rounds_share_even_the_first_block_of_a_prompt() -> None:
    rounds = [
        calls_of_round(SMALL, number, base) for number in (0, 1, WARMUP_ROUND) for base in (False, True)
    ]
    beginnings = [call.prompt_ids[:16] for calls in rounds for call in calls]

    assert len(set(beginnings)) == len(beginnings)


def test_the_same_workload_asks_the_same_again() -> None:
    assert calls_of_round(SMALL, 3, False) == calls_of_round(SMALL, 3, False)
    assert calls_of_round(replace(SMALL, seed=1), 3, False) != calls_of_round(SMALL, 3, False)


@pytest.mark.parametrize("name", ["requests", "adapters", "rank", "prompt_tokens", "new_tokens", "repeats"])
def test_a_workload_of_nothing_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadWorkload, match=name) as refusal:
        Workload(**{**asdict(SMALL), name: 0}).check()

    assert refusal.value.field == name


def test_a_workload_that_exceeds_the_context_is_refused() -> None:
    with pytest.raises(BadWorkload, match="512 tokens of llama-test"):
        replace(SMALL, prompt_tokens=500, new_tokens=13).check()


def test_an_unknown_shape_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(BadWorkload, match=r"llama-7b.*llama-135m, llama-1b"):
        replace(SMALL, shape="llama-7b").check()


def test_the_shapes_have_the_sizes_that_their_names_promise() -> None:
    sizes = {name: sum(linear.parameters for linear in shape.linears) for name, shape in SHAPES.items()}

    # A 135 M Llama: 106 M weights in its linear layers and 28 M in the embedding that the head shares.
    assert sizes["llama-135m"] == 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
    assert SHAPES["llama-135m"].head_parameters == 49152 * 576
    assert sizes["llama-1b"] == 16 * (2 * 2048 * 2048 + 2 * 2048 * 512 + 3 * 2048 * 8192)


def test_a_round_counts_generated_tokens_over_its_whole_time() -> None:
    figures = figures_of([Round(2.0, 100, (Answer(0.5, (0.1, 0.3), 0), Answer(0.7, (0.2,), 3)))])

    assert figures.tokens_per_second == 50.0
    assert figures.ttft.p50 == pytest.approx(0.6)
    assert (figures.inter_token.p50, figures.inter_token.p99) == pytest.approx((0.2, 0.298))
    assert figures.cached_tokens == 3


def test_the_median_round_counts() -> None:
    rounds = [Round(seconds, 100, (Answer(0.5, (), 0),)) for seconds in (1.0, 2.0, 50.0)]

    assert figures_of(rounds).tokens_per_second == 50.0


@given(st.lists(st.floats(0.0, 1e6), min_size=1), st.floats(0.0, 1.0))
def test_a_percentile_lies_between_the_values_beside_it(values: list[float], share: float) -> None:
    found, ordered = percentile(values, share), sorted(values)
    below = ordered[int(share * (len(ordered) - 1))]

    assert below <= found <= ordered[-1]
    assert (percentile(values, 0.0), percentile(values, 1.0)) == (ordered[0], ordered[-1])


def test_a_step_reads_the_base_the_head_its_adapters_and_half_the_answers() -> None:
    work = replace(
        SMALL, shape="llama-135m", requests=16, adapters=16, rank=16, prompt_tokens=128, new_tokens=64
    )
    read = step_bytes(work, "bfloat16", ranks=(16,) * 16)

    assert read.base == pytest.approx(106_168_320 * 0.5159, rel=1e-4)
    assert read.head == 49152 * 576 * 2
    assert read.adapters == 16 * 16 * 30 * 10_176 * 2
    assert read.kv_cache == 16 * 160 * 2 * 30 * 3 * 64 * 2
    assert step_bytes(work, "bfloat16", ranks=()).total == read.total - read.adapters


def test_the_limit_is_the_batch_over_the_time_to_read_a_step() -> None:
    read = step_bytes(SMALL, "float32", ranks=(4, 4))

    assert decode_limit(SMALL, read, float(read.total)) == SMALL.requests
