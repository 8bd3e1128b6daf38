"""The native kernels compute 4-bit linears, heads and norms within a stated error of double precision."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from parfocal.engine.backends.native import Library
from parfocal.engine.backends.native.linear import (
    NativeHead,
    NativeLinear,
    Numbers,
    can_pack,
    pack,
    pack_dense,
)
from parfocal.engine.backends.native.modules import replaced
from parfocal.engine.config import EngineConfig
from parfocal.engine.loading import load_base

# Of the product of an input's and a weight's norms. bfloat16 would need ten times as much as wide integers.
TOLERANCES = {
    Numbers.WIDE: 4e-4,
    Numbers.NARROW: 2.5e-2,
    Numbers.DENSE_WIDE: 4e-4,
    Numbers.DENSE_NARROW: 2.5e-2,
}
packed_numbers = pytest.mark.parametrize("numbers", [Numbers.WIDE, Numbers.NARROW])
dense_numbers = pytest.mark.parametrize("numbers", [Numbers.DENSE_WIDE, Numbers.DENSE_NARROW])

scales = st.sampled_from([1e-6, 1e-2, 1.0, 1e4])


def quantised(outputs: int, inputs: int, bias: bool = False) -> Linear4bit:
    linear = Linear4bit(inputs, outputs, bias=bias, quant_type="nf4", compute_dtype=torch.float32)
    return linear.to("cpu").eval()


def dense(linear: Linear4bit) -> torch.Tensor:
    packed: Any = linear.weight
    return dequantize_4bit(packed.data, packed.quant_state).view(linear.out_features, -1)


@dataclass(frozen=True)
class Product:
    """What is right: `x` `[…, rows, in]` times `weight`, within what `numbers` allow."""

    x: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    numbers: Numbers


def check(found: torch.Tensor, product: Product) -> None:
    """Compares `found` `[…, rows, out]` with the product in double precision."""
    x, weight, bias = product.x, product.weight, product.bias
    x, weight = x.double(), weight.double()
    right = x @ weight.T + (0.0 if bias is None else bias.double())
    assert found.shape == right.shape
    bound = TOLERANCES[product.numbers] * x.norm(dim=-1)[..., None] * weight.norm(dim=1)
    assert ((found - right).abs() <= bound + 1e-6 * right.abs()).all()


@torch.inference_mode()
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 5), st.integers(1, 100)),
    bias=st.booleans(),
    scale=scales,
    seed=st.integers(0, 1000),
)
@packed_numbers
def test_a_linear_is_right_for_any_shape(  # noqa: PLR0913 - what hypothesis draws
    library: Library, numbers: Numbers, size: tuple[int, int, int], bias: bool, scale: float, seed: int
) -> None:
    torch.manual_seed(seed)
    rows, blocks, outputs = size
    linear = quantised(outputs, 64 * blocks, bias)
    x = torch.randn(1, rows, 64 * blocks) * scale

    check(pack(library, linear, numbers)(x), Product(x, dense(linear), linear.bias, numbers))


@torch.inference_mode()
@packed_numbers
def test_many_rows_are_right_too(library: Library, numbers: Numbers) -> None:
    linear, x = quantised(70, 128), torch.randn(2, 333, 128)
    check(pack(library, linear, numbers)(x), Product(x, dense(linear), None, numbers))


@torch.inference_mode()
@packed_numbers
@given(rows=st.integers(1, 40), at=st.integers(0, 39))
def test_a_row_gets_the_same_bits_whatever_its_neighbours(
    library: Library, numbers: Numbers, rows: int, at: int
) -> None:
    at = min(at, rows - 1)
    linear, x = pack(library, quantised(40, 128), numbers), torch.randn(1, rows, 128)
    assert torch.equal(linear(x)[:, at], linear(x[:, at : at + 1])[:, 0])


@torch.inference_mode()
@packed_numbers
@pytest.mark.parametrize("fault", [math.nan, math.inf, -math.inf])
def test_a_broken_number_breaks_its_own_row_alone(library: Library, numbers: Numbers, fault: float) -> None:
    linear, x = pack(library, quantised(40, 128), numbers), torch.randn(1, 3, 128)
    whole = linear(x)
    x[0, 1, 77] = fault

    broken = linear(x)

    assert broken[0, 1].isnan().all()
    assert torch.equal(broken[0, [0, 2]], whole[0, [0, 2]])


@torch.inference_mode()
@packed_numbers
def test_zeros_stay_zeros(library: Library, numbers: Numbers) -> None:
    assert pack(library, quantised(40, 64), numbers)(torch.zeros(1, 2, 64)).eq(0).all()


def test_what_the_kernel_cannot_multiply_is_left_alone() -> None:
    assert not can_pack(nn.Linear(64, 64))
    assert can_pack(quantised(8, 128))
    odd = quantised(64, 96)  # its blocks of 64 numbers would straddle its rows of 96
    assert not can_pack(odd)


@torch.inference_mode()
@dense_numbers
@given(seed=st.integers(0, 2**32 - 1), scale=scales, rows=st.integers(1, 4), bias=st.booleans())
def test_the_head_finds_the_likeliest_token_of_float32(  # noqa: PLR0913 - what hypothesis draws
    library: Library, numbers: Numbers, seed: int, scale: float, rows: int, bias: bool
) -> None:
    torch.manual_seed(seed)
    head = nn.Linear(64, 500, bias=bias)
    head.weight.data *= scale
    x = torch.randn(1, rows, 64)

    weight, own_bias = head.weight.data, head.bias.data if bias else None
    near = pack_dense(library, weight, own_bias, numbers)
    found = NativeHead(library, weight, own_bias, near)(x)

    assert torch.equal(found.argmax(-1), head(x).argmax(-1))
    check(found, Product(x, head.weight, head.bias, numbers))


@torch.inference_mode()
@pytest.mark.parametrize("kind", [LlamaRMSNorm, Gemma2RMSNorm])
@given(size=st.integers(1, 200), rows=st.integers(1, 5), seed=st.integers(0, 1000))
def test_a_norm_is_transformers_norm(
    library: Library, kind: type[nn.Module], size: int, rows: int, seed: int
) -> None:
    torch.manual_seed(seed)
    norm = kind(size)
    nn.init.normal_(norm.get_parameter("weight"))
    native = replaced(library, norm)
    x = torch.randn(1, rows, 2, size)
    assert native is not None
    torch.testing.assert_close(native(x), norm(x), rtol=1e-5, atol=1e-5)


def test_other_modules_are_no_norms(library: Library) -> None:
    assert replaced(library, nn.LayerNorm(8)) is None


def test_a_base_has_exact_linears_when_told_float32(library: Library, llama_base: Path) -> None:
    del library

    def natives(dtype: str, kernels: str) -> set[Numbers]:
        base = load_base(llama_base, EngineConfig(device="cpu", dtype=dtype, kernels=kernels))
        return {module.numbers for module in base.model.modules() if isinstance(module, NativeLinear)}

    assert natives("auto", "auto") == {Numbers.WIDE, Numbers.DENSE_WIDE}
    assert natives("float32", "auto") == {Numbers.EXACT}
    assert natives("auto", "torch") == set()


@torch.inference_mode()
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 5), st.integers(1, 100)),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_an_exact_linear_is_as_good_as_float32(
    library: Library, size: tuple[int, int, int], bias: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    rows, blocks, outputs = size
    linear, x = quantised(outputs, 64 * blocks, bias), torch.randn(1, rows, 64 * blocks)
    weight = dense(linear)

    found = pack(library, linear, Numbers.EXACT)(x)

    right = nn.functional.linear(x.double(), weight.double(), None if bias is False else linear.bias.double())
    torch.testing.assert_close(found.double(), right, rtol=1e-5, atol=1e-5 * float(weight.norm()))
