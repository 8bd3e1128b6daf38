"""Both ways of a switched linear give bitsandbytes' numbers, and neither keeps the weight."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bitsandbytes.functional import QuantState
from bitsandbytes.nn.modules import Linear4bit

from fakes.engine.four_bit import INPUTS, OUTPUTS, new_linear
from parfocal.engine.backends.cuda.four_bit import SwitchedLinear4bit, SwitchPoint, fused_product
from parfocal.engine.loading.held_bytes import held_bytes

OPERATION = torch.ops.bitsandbytes.gemm_4bit.default


def state_of(linear: Linear4bit) -> QuantState:
    weight: Any = linear.weight
    state: QuantState = weight.quant_state
    return state


class Recorder:
    """bitsandbytes' operation, with the row counts for which it was called."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, x: torch.Tensor, *others: object) -> torch.Tensor:
        self.rows.append(x.numel() // x.shape[-1])
        answer: torch.Tensor = OPERATION(x, *others)
        return answer


@torch.inference_mode()
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_both_ways_compute_what_bitsandbytes_computes(dtype: torch.dtype, bias: bool, nested: bool) -> None:
    base = new_linear(dtype, bias=bias, nested=nested)
    for shape in ((1, INPUTS), (1, 7, INPUTS), (2, 3, INPUTS), (INPUTS,)):
        x = torch.randn(shape, dtype=dtype)
        right = base(x)
        for point in (SwitchPoint(0), SwitchPoint(100)):
            found = SwitchedLinear4bit(base, point)(x)
            assert found.dtype is dtype
            torch.testing.assert_close(found, right)


@torch.inference_mode()
@pytest.mark.parametrize("point", [SwitchPoint(0), SwitchPoint(100)])
@pytest.mark.parametrize(
    ("inner", "outer"), [(torch.bfloat16, torch.float32), (torch.float32, torch.float16)]
)
def test_numbers_of_another_type_come_back_in_it(
    point: SwitchPoint, inner: torch.dtype, outer: torch.dtype
) -> None:
    base = new_linear(inner, bias=True)
    x = torch.randn(1, 5, INPUTS, dtype=outer)
    found = SwitchedLinear4bit(base, point)(x)

    assert found.dtype is outer
    torch.testing.assert_close(found, base(x))


@torch.inference_mode()
def test_rows_are_counted_over_all_leading_dimensions() -> None:
    product = Recorder()
    linear = SwitchedLinear4bit(new_linear(), SwitchPoint(6), product)
    for shape in ((1, 5), (2, 3), (5,), (1, 6), (1, 1, 1), (1, 64)):
        linear(torch.randn(*shape, INPUTS))

    assert product.rows == [5, 5, 1]


@torch.inference_mode()
@pytest.mark.parametrize("nested", [True, False])
def test_bitsandbytes_kernel_is_given_what_its_operation_takes(nested: bool) -> None:
    base, product = new_linear(bias=True, nested=nested), Recorder()
    x = torch.randn(3, INPUTS)

    torch.testing.assert_close(SwitchedLinear4bit(base, SwitchPoint(9), product)(x), base(x))
    assert product.rows == [3]


def kernel(  # noqa: PLR0913 - the arguments are bitsandbytes'
    A: torch.Tensor,
    B: torch.Tensor,
    shapeB: torch.Size,
    absmax: torch.Tensor,
    blocksize: int,
    quant_type: str,
    bias: torch.Tensor | None = None,
    absmax_8bit: torch.Tensor | None = None,
    absmax_code: torch.Tensor | None = None,
    absmax_offset: torch.Tensor | None = None,
) -> torch.Tensor:
    """Has the arguments of bitsandbytes' kernel."""
    return A


def test_bitsandbytes_kernel_is_taken_only_where_it_is_as_we_know_it() -> None:
    cuda, state = torch.device("cuda"), state_of(new_linear())
    known = SimpleNamespace(_gemm_4bit_kernel_impl=kernel)
    changed = SimpleNamespace(_gemm_4bit_kernel_impl=lambda A, B, scales: None)

    assert fused_product(cuda, INPUTS, state, known) is kernel
    assert fused_product(cuda, INPUTS + 1, state, known) is OPERATION
    assert fused_product(torch.device("cpu"), INPUTS, state, known) is OPERATION
    for kernels in (changed, SimpleNamespace()):
        assert fused_product(cuda, INPUTS, state, kernels) is OPERATION


@pytest.mark.gpu
def test_this_version_of_bitsandbytes_has_the_kernel() -> None:
    state = state_of(new_linear())

    assert fused_product(torch.device("cuda"), INPUTS, state) is not OPERATION


@torch.inference_mode()
def test_a_dequantised_weight_is_not_kept() -> None:
    linear = SwitchedLinear4bit(new_linear(), SwitchPoint(0))
    before = held_bytes(linear)
    linear(torch.randn(3, INPUTS))

    assert held_bytes(linear) == before < INPUTS * OUTPUTS
