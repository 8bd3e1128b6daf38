"""The fast CPU linears compute what bitsandbytes computes; the head finds the same likeliest token."""

from pathlib import Path

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from parfocal.engine.backends.torch.bfloat16_cpu import (
    MOST_PACKED_ROWS,
    Bfloat16Head,
    PackedLinear,
    is_fast_here,
    speed_up,
)
from parfocal.engine.loading import Loading, load_quantised


@pytest.fixture(scope="module")
def models(llama_base: Path) -> tuple[nn.Module, nn.Module]:
    """The same base twice, as bitsandbytes runs it and sped up."""
    loading = Loading(torch.float32, torch.device("cpu"), "eager", exact=False)
    plain, fast = load_quantised(llama_base, loading), load_quantised(llama_base, loading)
    if not is_fast_here(plain):
        pytest.skip("this CPU does not multiply bfloat16 in hardware")
    speed_up(fast)
    return plain, fast


def _pairs(models: tuple[nn.Module, nn.Module]) -> list[tuple[Linear4bit, PackedLinear]]:
    fast = {path: module for path, module in models[1].named_modules() if isinstance(module, PackedLinear)}
    plain = {path: module for path, module in models[0].named_modules() if isinstance(module, Linear4bit)}
    assert fast.keys() == plain.keys()
    return [(plain[path], fast[path]) for path in plain]


@torch.inference_mode()
def test_few_rows_get_the_same_bits_as_from_bitsandbytes(models: tuple[nn.Module, nn.Module]) -> None:
    pairs = _pairs(models)
    assert pairs
    for plain, fast in pairs:
        for rows in (1, 2, 7, MOST_PACKED_ROWS):
            x = torch.randn(1, rows, fast.in_features)
            assert torch.equal(fast(x), plain(x))


@torch.inference_mode()
def test_many_rows_agree_within_bfloat16(models: tuple[nn.Module, nn.Module]) -> None:
    for plain, fast in _pairs(models):
        x = torch.randn(1, MOST_PACKED_ROWS + 1, fast.in_features)
        right = plain(x)
        assert (fast(x) - right).norm() < 0.01 * right.norm()


@torch.inference_mode()
def test_a_bias_is_added(models: tuple[nn.Module, nn.Module]) -> None:
    biased = Linear4bit(64, 64, bias=True, quant_type="nf4", compute_dtype=torch.float32).to("cpu").eval()
    x = torch.randn(3, 64)
    with_bias = biased(x)
    biased.bias.data += 1.0
    assert torch.allclose(PackedLinear(biased)(x), with_bias + 1.0, atol=0.05)


@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.01, 1.0, 30.0]), rows=st.integers(1, 4))
def test_the_likeliest_token_is_that_of_float32(seed: int, scale: float, rows: int) -> None:
    torch.manual_seed(seed)
    head = nn.Linear(64, 500, bias=False)
    head.weight.data = (head.weight.data * scale).to(torch.bfloat16).float()
    x = torch.randn(1, rows, 64)
    with torch.inference_mode():
        right, fast = head(x), Bfloat16Head(head)(x)

    assert torch.equal(fast.argmax(-1), right.argmax(-1))
    assert torch.allclose(fast, right, atol=0.02 * float(right.abs().max()))
