"""Linears on CUDA whose rows get the same bits in every batch. They know no adapters."""

from typing import Any

import torch
import triton
from bitsandbytes.functional import QuantState
from bitsandbytes.nn.modules import Linear4bit
from torch import nn

from parfocal.engine.backends.cuda.invariant.kernels import dense_kernel, four_bit_kernel
from parfocal.engine.backends.cuda.products import product_type

# Of every tile, whatever the number of rows: a decode step of 64 rows reads each weight once. Few outputs, so
# that the linears of a layer have a program for every multiprocessor without cutting sums.
ROWS, OUTPUTS, HEAD_OUTPUTS = 64, 32, 64
_DENSE_BYTES = 128


class InvariantLinear(nn.Module):
    """y = W x + bias for a dense weight `[out, in]`, such as the output head's."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.out_features, self.in_features = linear.weight.shape
        self._weight = linear.weight.data.contiguous()
        self._bias = None if linear.bias is None else linear.bias.data

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns `[…, out]` for `x` `[…, in]`, in x's type."""
        rows = x.to(self._weight.dtype).reshape(-1, self.in_features).contiguous()
        y = rows.new_empty(len(rows), self.out_features)
        dense_kernel[_grid(y, HEAD_OUTPUTS, ROWS)](
            y,
            rows,
            self._weight,
            self._weight if self._bias is None else self._bias,
            len(rows),
            self.out_features,
            self.in_features,
            rows.stride(0),
            BIASED=self._bias is not None,
            DOT=product_type(rows),
            M=ROWS,
            N=HEAD_OUTPUTS,
            K=dense_inputs(rows.dtype),
        )
        return y.view(*x.shape[:-1], self.out_features).to(x.dtype)


class InvariantLinear4bit(nn.Module):
    """y = W₄ x + bias, as the `Linear4bit` whose weight and bias it takes over."""

    def __init__(self, base: Linear4bit) -> None:
        super().__init__()
        self.in_features, self.out_features = base.in_features, base.out_features
        weight: Any = base.weight  # bitsandbytes' Params4bit, which adds to a tensor the state of its numbers
        state: QuantState = weight.quant_state
        self._dtype: torch.dtype = base.compute_dtype or state.dtype
        self._codes: torch.Tensor = weight.data.view(-1)
        self._levels, self._block = state.code, state.blocksize
        self._scales = state.absmax
        outer = state.state2
        self._outer = None if outer is None else (outer.absmax, outer.code, state.offset)
        self._outer_block = 1 if outer is None else outer.blocksize
        self._bias = None if base.bias is None else base.bias.data.to(self._dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns `[…, out]` for `x` `[…, in]`, in x's type, computed in the base's."""
        rows = x.to(self._dtype).reshape(-1, self.in_features).contiguous()
        y = rows.new_empty(len(rows), self.out_features)
        most_rows, inputs = four_bit_tile(rows.dtype)
        four_bit_kernel[_grid(y, OUTPUTS, most_rows)](
            y,
            rows,
            self._codes,
            self._levels,
            self._scales,
            *(self._outer or (self._scales,) * 3),
            self._levels if self._bias is None else self._bias,
            len(rows),
            self.out_features,
            self.in_features,
            rows.stride(0),
            NESTED=self._outer is not None,
            BIASED=self._bias is not None,
            WHOLE=self.in_features % self._block == 0 and self._block % inputs == 0,
            BLOCK=self._block,
            OUTER=self._outer_block,
            DOT=product_type(rows),
            M=most_rows,
            N=OUTPUTS,
            K=inputs,
        )
        return y.view(*x.shape[:-1], self.out_features).to(x.dtype)


def dense_inputs(dtype: torch.dtype) -> int:
    """Returns how many of a row's inputs are multiplied at once with a dense weight."""
    return _DENSE_BYTES // dtype.itemsize


def four_bit_tile(dtype: torch.dtype) -> tuple[int, int]:
    """The rows of a program with 4-bit weights, and how many inputs it multiplies at once.

    Both are halved for float32, whose numbers would not all find a place in registers.
    """
    return (ROWS // 2, 32) if dtype is torch.float32 else (ROWS, 64)


def _grid(y: torch.Tensor, outputs: int, rows: int) -> tuple[int, int]:
    return triton.cdiv(y.shape[1], outputs), triton.cdiv(y.shape[0], rows)
