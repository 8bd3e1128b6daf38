"""Attention over blocks equals the plain formula in double precision, and nothing leaks out of padding."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from parfocal.engine.backends.native import Library, load
from parfocal.engine.backends.native.rows import Contexts
from parfocal.engine.backends.native.step_work import NativeAttention
from parfocal.engine.backends.torch import AttentionStep, ChunkRow, DecodeRows
from parfocal.engine.backends.torch.plain_attention import Operands, attend
from parfocal.engine.model import AttentionWork, KvCache, KvShape
from parfocal.engine.model.attention import paged_attention
from parfocal.engine.scheduling import token_places

CPU = torch.device("cpu")
BLOCK = 4
GARBAGE = 1e4  # what the rest of a row's last block holds: finite, but it would drown every real key


@dataclass(frozen=True)
class Model:
    """The shape of one attention: `windows` has one entry for each layer."""

    kv_heads: int
    group: int
    head_dim: int
    softcap: float | None
    windows: tuple[int | None, int | None]
    dtype: torch.dtype

    @property
    def tolerance(self) -> float:
        return 2e-5 if self.dtype is torch.float32 else 4e-2


@dataclass(frozen=True)
class Row:
    """A request in the step: `past` tokens lie in the cache, `new` are computed now."""

    past: int
    new: int

    @property
    def length(self) -> int:
        return self.past + self.new


windows = st.none() | st.integers(1, 12)
models = st.builds(
    Model,
    kv_heads=st.integers(1, 3),
    group=st.sampled_from([1, 2, 4]),
    head_dim=st.sampled_from([4, 8, 16]),
    softcap=st.sampled_from([None, 3.0]),
    windows=st.tuples(windows, windows),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
batches = st.lists(
    st.builds(Row, past=st.integers(0, 20), new=st.sampled_from([1, 1, 1, 2, 5, 9])), min_size=1, max_size=5
)


class Layer(nn.Module):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.layer_idx = number


class Stage:
    """A cache full of NaN but for the rows' own blocks, and the operands of each row."""

    def __init__(self, model: Model, rows: list[Row], seed: int, cached: torch.dtype | None = None) -> None:
        self.model, self.rows = model, rows
        self.numbers = torch.Generator().manual_seed(seed)
        counts = [-(-row.length // BLOCK) for row in rows]
        shuffled = torch.randperm(sum(counts) + 2, generator=self.numbers).tolist()
        self.blocks = [shuffled[sum(counts[:n]) : sum(counts[: n + 1])] for n in range(len(rows))]
        shape = KvShape(len(model.windows), model.kv_heads, model.head_dim, cached or model.dtype)
        self.cache = KvCache(shape, len(shuffled), BLOCK, CPU)
        for store in (*self.cache.keys, *self.cache.values):
            store.fill_(torch.nan)
            for block in (block for blocks in self.blocks for block in blocks):
                store[block].fill_(GARBAGE)

    def random(self, heads: int, tokens: int) -> torch.Tensor:
        drawn = torch.randn(heads, tokens, self.model.head_dim, generator=self.numbers)
        return drawn.to(self.model.dtype)

    def step(self) -> AttentionStep:
        written, decode, chunks, start = [], [], [], 0
        for row, blocks in zip(self.rows, self.blocks, strict=True):
            written += token_places(blocks, row.past, row.length, BLOCK)
            if row.new == 1:
                decode.append((start, blocks, row.length))
            else:
                chunks.append(ChunkRow(start, start + row.new, torch.tensor([blocks]), row.length))
            start += row.new
        return AttentionStep(self.cache, torch.tensor(written), _decode_rows(decode), tuple(chunks))

    def native_step(self, library: Library) -> NativeAttention:
        most = max(len(blocks) for blocks in self.blocks)
        pairs = list(zip(self.rows, self.blocks, strict=True))
        contexts = Contexts(
            written=torch.tensor([p for r, b in pairs for p in token_places(b, r.past, r.length, BLOCK)]),
            tables=torch.tensor([blocks + [0] * (most - len(blocks)) for blocks in self.blocks]),
            rows=torch.tensor([number for number, row in enumerate(self.rows) for _ in range(row.new)]),
            lengths=torch.tensor([at + 1 for row in self.rows for at in range(row.past, row.length)]),
        )
        return NativeAttention(library, self.cache, contexts)


def _decode_rows(rows: list[tuple[int, list[int], int]]) -> DecodeRows | None:
    if not rows:
        return None
    most = max(len(blocks) for _, blocks, _ in rows)
    padded = [blocks + blocks[:1] * (most - len(blocks)) for _, blocks, _ in rows]
    starts, _, lengths = zip(*rows, strict=True)
    return DecodeRows(torch.tensor(starts), torch.tensor(padded), torch.tensor(lengths))


def formula(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, model: Model, window: int | None
) -> torch.Tensor:
    """Returns `[heads, new, dim]` for q of that shape and k and v `[kv_heads, length, dim]`, in float64."""
    k, v = (part.double().repeat_interleave(model.group, 0) for part in (k, v))
    scores = q.double() @ k.transpose(1, 2) * model.head_dim**-0.5
    if model.softcap is not None:
        scores = torch.tanh(scores / model.softcap) * model.softcap
    new, length = scores.shape[1:]
    for at in range(new):
        position = length - new + at
        scores[:, at, position + 1 :] = -torch.inf
        if window is not None:
            scores[:, at, : max(0, position + 1 - window)] = -torch.inf
    answer: torch.Tensor = scores.softmax(-1) @ v
    return answer


@settings(max_examples=120)
@given(models, batches, st.integers(0, 1000))
def test_rows_in_blocks_get_what_the_formula_says(model: Model, rows: list[Row], seed: int) -> None:
    stage = Stage(model, rows, seed)
    check(stage, stage.step())


@settings(max_examples=120)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float16, 5e-3)])
@given(models, batches, st.integers(0, 1000))
def test_the_native_kernel_says_what_the_formula_says(
    dtype: torch.dtype, tolerance: float, model: Model, rows: list[Row], seed: int
) -> None:
    library = load()
    if library is None:
        pytest.skip("the native kernels do not run here")
    stage = Stage(replace(model, head_dim=4 * model.head_dim, dtype=torch.float32), rows, seed, dtype)
    check(stage, stage.native_step(library), _write_as_the_kernel_reads, tolerance)


def _write_as_the_kernel_reads(
    cache: KvCache, layer: int, places: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> None:
    """Stores values like any other; of the keys of a block, each dimension's lie side by side."""
    cache.write(layer, places, torch.zeros_like(key), value)
    keys = cache.keys[layer]
    by_dimension = keys.view(keys.shape[0], *keys.shape[2:], BLOCK)
    by_dimension[places // BLOCK, :, :, places % BLOCK] = key.to(keys.dtype)


def check(
    stage: Stage,
    step: AttentionWork,
    write: Callable[..., None] = KvCache.write,
    tolerance: float | None = None,
) -> None:
    """Gives every layer new keys, values and queries, and compares the answers with the formula's."""
    tolerance = tolerance or stage.model.tolerance
    model, rows = stage.model, stage.rows
    for layer, window in enumerate(model.windows):
        keys = [
            (stage.random(model.kv_heads, r.length), stage.random(model.kv_heads, r.length)) for r in rows
        ]
        queries = [stage.random(model.kv_heads * model.group, row.new) for row in rows]
        for row, blocks, (k, v) in zip(rows, stage.blocks, keys, strict=True):
            past = torch.tensor(token_places(blocks, 0, row.past, BLOCK), dtype=torch.long)
            write(stage.cache, layer, past, *(part[:, : row.past].transpose(0, 1) for part in (k, v)))
        new = [tuple(part[:, row.past :] for part in pair) for row, pair in zip(rows, keys, strict=True)]

        k_new, v_new = (torch.cat(parts, 1)[None] for parts in zip(*new, strict=True))
        answer, _ = paged_attention(
            Layer(layer),
            torch.cat(queries, 1)[None],
            k_new,
            v_new,
            None,
            scaling=model.head_dim**-0.5,
            step=step,
            sliding_window=window,
            softcap=model.softcap,
        )

        expected = torch.cat(
            [formula(q, k, v, model, window) for q, (k, v) in zip(queries, keys, strict=True)], 1
        )
        found = answer[0].transpose(0, 1).double()
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_a_mask_attention_is_causal(softcap: float | None, dtype: torch.dtype) -> None:
    model = Model(2, 3, 8, softcap, (None, None), dtype)
    stage = Stage(model, [], seed=1)
    q, k, v = (stage.random(heads, 7) for heads in (6, 2, 2))

    found = attend(Operands(q[None], k[None], v[None]), None, 8**-0.5, softcap)

    expected = formula(q, k, v, model, None)
    torch.testing.assert_close(found[0].double(), expected, rtol=model.tolerance, atol=model.tolerance)


def test_masked_keys_weigh_nothing_however_large() -> None:
    q, k, v = (torch.ones(1, 1, n, 4) for n in (1, 3, 3))
    k[0, 0, 2], v[0, 0, 2] = 1e30, 1e30
    mask = torch.tensor([True, True, False])[None, None, None]

    for softcap in (None, 3.0):
        assert attend(Operands(q, k, v), mask, 0.5, softcap).eq(1.0).all()
