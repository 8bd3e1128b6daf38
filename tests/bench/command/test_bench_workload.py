"""What a bench asks for, and how it counts what it got."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.bench.errors import BadWorkload
from parfocal.bench.limits.hardware import Hardware
from parfocal.bench.limits.roofline import decode_need, roofline
from parfocal.bench.limits.stored import Stored, stored_types
from parfocal.bench.load.figures import figures_of, percentile
from parfocal.bench.load.rounds import Answer, Round
from parfocal.bench.workloads.against import against_in
from parfocal.bench.workloads.calls import calls_of_round
from parfocal.bench.workloads.shapes import SHAPES
from parfocal.bench.workloads.workload import WARMUP_ROUND, Workload
from parfocal.engine.backends.native.library import LIBRARY, fault

_WHY_NOT = fault(LIBRARY)
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


HALVES = Stored("bfloat16", "bfloat16", "bfloat16", "bfloat16")
SLOW_MEMORY = Hardware(1.0, 0.5, {"float32": 1e30})
SLOW_ARITHMETIC = Hardware(1e30, 1.0, {"float32": 1.0, "bfloat16": 2.0})


def test_a_step_reads_the_base_the_head_its_adapters_and_half_the_answers() -> None:
    work = replace(
        SMALL, shape="llama-135m", requests=16, adapters=16, rank=16, prompt_tokens=128, new_tokens=64
    )
    read = decode_need(work, HALVES, range(16)).bytes

    assert read.base == pytest.approx(106_168_320 * 0.5159, rel=1e-4)
    assert read.head == 49152 * 576 * 2
    assert read.adapters == 16 * 16 * 30 * 10_176 * 2
    assert read.kv_cache == 16 * 160 * 2 * 30 * 3 * 64 * 2
    assert decode_need(work, HALVES, ()).bytes.total == read.total - read.adapters


def test_a_step_multiplies_every_weight_by_every_row_and_an_adapter_by_its_own() -> None:
    work = replace(SMALL, requests=3, adapters=2, ranks=(4, 8))
    shape = work.sizes()
    done = decode_need(work, HALVES, (0, 1, 1)).flops

    assert done.base == 2 * 3 * sum(linear.parameters for linear in shape.linears)
    assert done.head == 2 * 3 * shape.head_parameters
    assert done.adapters == 2 * (shape.adapter_parameters(4) + 2 * shape.adapter_parameters(8))


def test_an_adapter_in_8_bit_weighs_half_and_its_scales() -> None:
    work = replace(SMALL, rank=16)
    halves = decode_need(work, HALVES, (0,)).bytes.adapters
    eighths = decode_need(work, replace(HALVES, adapters="int8"), (0,)).bytes.adapters

    scales = 4 * sum(16 + linear.tall for linear in work.sizes().linears)
    assert eighths == halves / 2 + scales


def test_the_slower_of_memory_and_arithmetic_limits_a_step() -> None:
    need = decode_need(SMALL, HALVES, (0, 1))

    assert (need.seconds(SLOW_MEMORY), need.bound(SLOW_MEMORY)) == (need.bytes.total, "memory")
    assert need.seconds(SLOW_ARITHMETIC) == need.flops.total / 2
    assert need.bound(SLOW_ARITHMETIC) == "arithmetic"


def test_a_whole_round_is_limited_by_its_prompts_and_its_steps_together() -> None:
    roof = roofline(SMALL, HALVES)
    steps = SMALL.new_tokens - 1

    assert roof.decode_limit(SLOW_MEMORY) == SMALL.requests / roof.decode.bytes.total
    moved = roof.prompts.bytes.total + steps * roof.decode.bytes.total
    assert roof.run_limit(SLOW_MEMORY) == pytest.approx(SMALL.generated_tokens / moved)


def test_without_kernels_everything_lies_in_the_bases_own_type() -> None:
    torch_only = replace(SMALL, kernels="torch")
    plain = Stored("float32", "float32", "float32", "float32")

    assert stored_types(torch_only, "float32", "cpu") == plain
    assert stored_types(replace(SMALL, dtype="float32"), "float32", "cpu") == plain
    assert stored_types(replace(SMALL, adapter_dtype="int8"), "bfloat16", "cuda").adapters == "int8"


@pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT)
@pytest.mark.parametrize(("bits", "head"), [(13, "int16"), (8, "int8")])
def test_the_kernels_hold_adapters_head_and_context_in_few_bytes(bits: int, head: str) -> None:
    found = stored_types(replace(SMALL, activation_bits=bits), "float32", "cpu")

    assert found == Stored("float32", "int16", head, "float16", bits)
    assert found.text == f"float32, activations in {bits} bits"


def test_head_and_context_are_read_in_the_types_in_which_they_lie() -> None:
    full = Stored("float32", "float32", "float32", "float32")
    few = replace(full, head="int8", kv_cache="float16")
    more, less = (decode_need(SMALL, stored, ()).bytes for stored in (full, few))

    assert (less.head, less.kv_cache) == (more.head / 4, more.kv_cache / 2)


def test_activations_have_8_or_13_bits() -> None:
    with pytest.raises(BadWorkload, match="activation_bits is 9; it is 8 or 13"):
        replace(SMALL, activation_bits=9).check()

    assert against_in("activation-bits=8", SMALL).workload == replace(SMALL, activation_bits=8)
