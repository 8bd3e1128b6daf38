"""The CUDA attention equals the formula in double precision, whatever lies in the rest of the cache."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fakes.engine.paged_rows import Context, Drawn, Heads, PagedRows
from parfocal.engine.backends.cuda.attention.rows import CudaAttention, CudaAttentionStep, split_count
from parfocal.engine.backends.cuda.attention.tables import DecodeTable, prefill_tiles
from parfocal.engine.backends.cuda.steps.decode_inputs import DecodeInputs, Parts, decode_inputs
from parfocal.engine.model import NewTokens, Scoring
from parfocal.engine.scheduling import token_places

PLAIN = Scoring(0.25, None, None)
pasts = st.integers(0, 30) | st.integers(60, 199)
singles = st.tuples(pasts, st.just(1))
chunks = st.tuples(pasts, st.integers(2, 12))
heads = st.builds(
    Heads,
    kv_heads=st.integers(1, 2),
    group=st.sampled_from([1, 2, 3, 7]),
    head_dim=st.sampled_from([16, 32, 48]),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
)
scores = st.builds(
    Scoring,
    scaling=st.sampled_from([0.25, 1.0]),
    window=st.none() | st.integers(1, 100),
    softcap=st.sampled_from([None, 3.0]),
)


def batches(row: SearchStrategy[Context], most: int) -> SearchStrategy[Drawn]:
    """Returns steps of up to `most` such rows."""
    return st.builds(
        Drawn,
        heads=heads,
        contexts=st.lists(row, min_size=1, max_size=most),
        block_tokens=st.sampled_from([1, 3, 16, 64]),
        seed=st.integers(0, 1000),
    )


def attention(rows: PagedRows) -> CudaAttention:
    return CudaAttention(rows.cache, rows.heads.kv_heads * rows.heads.group, processors=1)


def refillable(rows: PagedRows, count: int) -> tuple[CudaAttentionStep, DecodeInputs]:
    """Returns a step of `count` empty rows, and the inputs that it reads."""
    device = rows.cache.keys[0].device
    there = torch.empty(Parts.size(count, 30), dtype=torch.int32, device=device)
    inputs = decode_inputs(count, 30, there)
    table = DecodeTable(inputs.tokens, inputs.device.lengths, inputs.device.blocks)
    return attention(rows).step_on(table, inputs.device.written), inputs


def decode_step(rows: PagedRows, picked: list[int], splits: int) -> tuple[CudaAttentionStep, NewTokens]:
    """Returns a step of the rows numbered `picked` alone, and their operands."""
    laid = [replace(rows.laid[n], start=at, end=at + 1) for at, n in enumerate(picked)]
    return replace(attention(rows).step(laid), splits=splits), rows.new(picked)


@settings(max_examples=40)
@given(batches(singles, most=3), scores, st.integers(1, 4))
def test_decoding_rows_get_what_the_formula_says(
    device: torch.device, drawn: Drawn, scoring: Scoring, splits: int
) -> None:
    rows = PagedRows(drawn, device)
    step = replace(attention(rows).step(rows.laid), splits=splits)

    rows.check(step.attend(0, rows.new(), scoring)[0], scoring)


@settings(max_examples=40)
@given(batches(chunks, most=2), scores, st.sampled_from([1, 3, 16]))
def test_chunks_get_what_the_formula_says(
    device: torch.device, drawn: Drawn, scoring: Scoring, tile_tokens: int
) -> None:
    rows = PagedRows(drawn, device)
    tiles = prefill_tiles(rows.laid, drawn.block_tokens, tile_tokens).to(device)
    step = replace(attention(rows).step(rows.laid), prefill=tiles)

    rows.check(step.attend(0, rows.new(), scoring)[0], scoring)


@settings(max_examples=20)
@given(batches(singles | chunks, most=4), scores)
def test_a_mixed_step_writes_its_tokens_and_nothing_else(
    device: torch.device, drawn: Drawn, scoring: Scoring
) -> None:
    rows = PagedRows(drawn, device)

    rows.check(attention(rows).step(rows.laid).attend(0, rows.new(), scoring)[0], scoring)

    for store, parts in ((rows.cache.keys[0], rows.keys), (rows.cache.values[0], rows.values)):
        cells = store.flatten(0, 1).cpu()
        laid = [(item.row.blocks, item.length) for item in rows.laid]
        size = rows.cache.block_tokens
        written = [place for blocks, length in laid for place in token_places(blocks, 0, length, size)]
        assert torch.equal(cells[written], torch.cat([part.transpose(0, 1) for part in parts]))
        cells[written] = torch.nan
        assert cells.isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("head_dim", [80, 96, 256])
def test_heads_need_not_be_a_power_of_two_wide(
    device: torch.device, head_dim: int, dtype: torch.dtype
) -> None:
    rows = PagedRows(Drawn(Heads(1, 2, head_dim, dtype), [(40, 1), (20, 5)]), device)
    scoring = Scoring(head_dim**-0.5, 30, None)

    rows.check(attention(rows).step(rows.laid).attend(0, rows.new(), scoring)[0], scoring)


def test_one_key_head_may_serve_more_query_heads_than_a_tile_has_room_for(device: torch.device) -> None:
    rows = PagedRows(Drawn(Heads(kv_heads=1, group=71), [(9, 1), (3, 3)]), device)

    rows.check(attention(rows).step(rows.laid).attend(0, rows.new(), PLAIN)[0], PLAIN)


@settings(max_examples=10)
@given(batches(singles, most=4), scores, st.integers(1, 3))
def test_a_row_gets_the_same_bits_alone_as_among_others(
    device: torch.device, drawn: Drawn, scoring: Scoring, splits: int
) -> None:
    rows = PagedRows(drawn, device)
    everyone = list(range(len(rows.laid)))
    step, new = decode_step(rows, everyone, splits)
    together = step.attend(0, new, scoring)[0]

    for number in everyone:
        step, new = decode_step(rows, [number], splits)
        assert torch.equal(step.attend(0, new, scoring)[0, 0], together[number])


def test_padding_writes_nothing_and_answers_zeros(device: torch.device) -> None:
    rows = PagedRows(Drawn(Heads(), [(5, 1), (70, 1)]), device)
    step, inputs = refillable(rows, 4)
    before = rows.cache.keys[0].clone()

    nothing = step.attend(0, rows.new([], padding=4), PLAIN)

    assert nothing.eq(0.0).all()
    assert torch.equal(rows.cache.keys[0].isnan(), before.isnan())

    inputs.fill(rows.laid, rows.cache.block_tokens)
    answer = step.attend(0, rows.new(padding=2), PLAIN)[0]

    rows.check(answer[:2], PLAIN)
    assert answer[2:].eq(0.0).all()


def test_a_refilled_step_keeps_its_memory_and_forgets_its_rows(device: torch.device) -> None:
    rows = PagedRows(Drawn(Heads(), [(70, 1), (5, 1), (33, 1)]), device)
    step, inputs = refillable(rows, 2)
    assert step.decode is not None
    tensors = (step.written, step.decode.tokens, step.decode.lengths, step.decode.blocks)
    memory = [tensor.data_ptr() for tensor in tensors]

    for picked in ([0, 1], [1, 2], [2]):
        laid = [replace(rows.laid[n], start=at, end=at + 1) for at, n in enumerate(picked)]
        inputs.fill(laid, rows.cache.block_tokens)
        answer = step.attend(0, rows.new(picked, padding=2 - len(picked)), PLAIN)[0]
        rows.check(answer[: len(picked)], PLAIN, picked)

    assert [tensor.data_ptr() for tensor in tensors] == memory


@pytest.mark.gpu
def test_a_captured_step_answers_for_the_rows_it_is_refilled_with(device: torch.device) -> None:
    rows = PagedRows(Drawn(Heads(dtype=torch.float16), [(70, 1), (5, 1), (33, 1)]), device)
    step, inputs = refillable(rows, 2)
    new = NewTokens(*(part.clone() for part in rows.new([], padding=2)))
    step.attend(0, new, PLAIN)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer = step.attend(0, new, PLAIN)

    for picked in ([0, 1], [1, 2], [2]):
        laid = [replace(rows.laid[n], start=at, end=at + 1) for at, n in enumerate(picked)]
        inputs.fill(laid, rows.cache.block_tokens)
        for part, fresh in zip(new, rows.new(picked, padding=2 - len(picked)), strict=True):
            part.copy_(fresh)
        graph.replay()
        rows.check(answer[0, : len(picked)], PLAIN, picked)
        assert answer[0, len(picked) :].eq(0.0).all()


@pytest.mark.parametrize(
    ("programs", "most_tokens", "processors", "count"),
    [
        (8, 32768, 132, 32),  # one row of a long context: as many as can be joined
        (64, 32768, 132, 5),  # some rows: two programs for each processor
        (512, 32768, 132, 1),  # many rows keep the device busy by themselves
        (8, 512, 132, 4),  # a short context is not worth more
        (8, 16, 132, 1),
    ],
)
def test_contexts_are_cut_where_that_keeps_the_device_busy(
    programs: int, most_tokens: int, processors: int, count: int
) -> None:
    assert split_count(programs, most_tokens, processors) == count
