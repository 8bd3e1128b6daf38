"""The CUDA attention equals the formula in double precision, whatever lies in the rest of the cache."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fakes.engine.paged_rows import Context, Drawn, Heads, PagedRows
from parfocal.engine.backends.cuda.attention.rows import (
    MOST_ROWS,
    CudaAttention,
    CudaAttentionStep,
    program_count,
)
from parfocal.engine.backends.cuda.attention.tables import DecodeTable, prefill_tiles
from parfocal.engine.backends.cuda.sending import each_by_itself
from parfocal.engine.backends.cuda.steps.decode_inputs import DecodeInputs, Parts, decode_inputs
from parfocal.engine.model import NewTokens, Scoring
from parfocal.engine.scheduling import LaidRow, token_places

PLAIN = Scoring(0.25, None, None)
pasts = st.integers(0, 30) | st.integers(60, 140)
singles = st.tuples(pasts, st.just(1))
chunks = st.tuples(pasts, st.integers(2, 8))
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


def singly(rows: PagedRows) -> CudaAttention:
    return replace(attention(rows), singly=True)


def refillable(rows: PagedRows, count: int) -> tuple[CudaAttentionStep, DecodeInputs]:
    """Returns a step of `count` empty rows, and the inputs that it reads."""
    device = rows.cache.keys[0].device
    there = torch.empty(Parts.size(count, 30), dtype=torch.int32, device=device)
    inputs = decode_inputs(count, 30, there)
    table = DecodeTable(inputs.tokens, inputs.device.lengths, inputs.tokens, inputs.device.blocks)
    return attention(rows).step_on(table, inputs.device.written), inputs


def decode_step(rows: PagedRows, picked: list[int], programs: int) -> tuple[CudaAttentionStep, NewTokens]:
    """Returns a step of the rows numbered `picked` alone, and their operands."""
    laid = [replace(rows.laid[n], start=at, end=at + 1) for at, n in enumerate(picked)]
    return replace(attention(rows).step(laid), programs=programs), rows.new(picked)


@settings(max_examples=40)
@given(batches(singles, most=3), scores, st.integers(1, 2))
def test_decoding_rows_get_what_the_formula_says(
    device: torch.device, drawn: Drawn, scoring: Scoring, programs: int
) -> None:
    rows = PagedRows(drawn, device)
    step = replace(attention(rows).step(rows.laid), programs=programs)

    rows.check(step.attend(0, rows.new(), scoring)[0], scoring)


@settings(max_examples=40)
@given(batches(chunks, most=2), scores, st.sampled_from([1, 3, 16]))
def test_chunks_get_what_the_formula_says(
    device: torch.device, drawn: Drawn, scoring: Scoring, tile_tokens: int
) -> None:
    rows = PagedRows(drawn, device)
    tiles = prefill_tiles(rows.laid, drawn.block_tokens, tile_tokens).sent(each_by_itself(device))
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


@pytest.mark.parametrize("window", [None, 300])
def test_a_context_that_is_cut_gets_what_the_formula_says(device: torch.device, window: int | None) -> None:
    # Two shares, three, and one short of two; with the window, two of the last positions only.
    rows = PagedRows(Drawn(Heads(), [(256, 1), (400, 1), (254, 1)], block_tokens=16), device)
    scoring = Scoring(0.25, window, None)

    rows.check(attention(rows).step(rows.laid).attend(0, rows.new(), scoring)[0], scoring)


@settings(max_examples=10)
@given(batches(singles, most=4), scores, st.integers(1, 3), st.integers(1, 3))
def test_a_row_gets_the_same_bits_alone_as_among_others(
    device: torch.device, drawn: Drawn, scoring: Scoring, programs: int, other_programs: int
) -> None:
    rows = PagedRows(drawn, device)
    everyone = list(range(len(rows.laid)))
    step, new = decode_step(rows, everyone, programs)
    together = step.attend(0, new, scoring)[0]

    for number in everyone:
        step, new = decode_step(rows, [number], other_programs)
        assert torch.equal(step.attend(0, new, scoring)[0, 0], together[number])


def test_a_row_gets_the_same_bits_beside_one_whose_context_is_longer(device: torch.device) -> None:
    rows = PagedRows(Drawn(Heads(), [(300, 1), (600, 1), (3, 1)], block_tokens=16), device)
    fewest, most = CudaAttention(rows.cache, 4, processors=1), CudaAttention(rows.cache, 4, processors=99)
    alone = most.step(rows.laid[:1])
    beside = fewest.step(rows.laid)

    assert (alone.programs, beside.programs) == (2, 1)
    right = alone.attend(0, rows.new([0]), PLAIN)[0, 0]
    assert torch.equal(beside.attend(0, rows.new(), PLAIN)[0, 0], right)


@settings(max_examples=10)
@given(batches(singles | chunks, most=3), scores)
def test_token_by_token_a_chunk_gets_what_the_formula_says(
    device: torch.device, drawn: Drawn, scoring: Scoring
) -> None:
    rows = PagedRows(drawn, device)

    rows.check(singly(rows).step(rows.laid).attend(0, rows.new(), scoring)[0], scoring)


@settings(max_examples=10)
@given(chunks | st.just((253, 5)), scores, st.data())
def test_token_by_token_a_chunk_gets_the_same_bits_however_it_is_cut(
    device: torch.device, context: Context, scoring: Scoring, data: st.DataObject
) -> None:
    whole = PagedRows(Drawn(Heads(kv_heads=1), [context]), device)
    (item,) = whole.laid
    new = whole.new()
    right = singly(whole).step(whole.laid).attend(0, new, scoring)[0]
    cuts = sorted(data.draw(st.sets(st.integers(1, item.tokens - 1), max_size=4)))
    whole.forget()

    found = []
    for begin, end in pairwise([0, *cuts, item.tokens]):
        row = replace(item.row, token_ids=[0] * (end - begin), start=item.row.start + begin)
        part = NewTokens(*(tensor[:, :, begin:end] for tensor in new))
        step = singly(whole).step([LaidRow(row, 0, 0, end - begin)])
        found.append(step.attend(0, part, scoring)[0])

    assert torch.equal(torch.cat(found), right)


def test_more_rows_than_one_launch_takes_are_attended_too(device: torch.device) -> None:
    rows = PagedRows(Drawn(Heads(1, 1), [(5, MOST_ROWS + 3), (70, 1)]), device)

    rows.check(singly(rows).step(rows.laid).attend(0, rows.new(), PLAIN)[0], PLAIN)


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
    ("pairs", "most_shares", "processors", "count"),
    [
        (8, 32, 132, 32),  # one row of a long context: each share has a program
        (64, 32, 132, 5),  # some rows: two programs for each processor
        (512, 32, 132, 1),  # many rows keep the device busy by themselves
        (8, 4, 132, 4),  # a short context has no more shares
        (8, 1, 132, 1),
    ],
)
def test_shares_get_as_many_programs_as_keep_the_device_busy(
    pairs: int, most_shares: int, processors: int, count: int
) -> None:
    assert program_count(pairs, most_shares, processors) == count
