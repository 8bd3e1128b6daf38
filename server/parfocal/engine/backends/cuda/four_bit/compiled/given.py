"""What the kernels are given."""

import ctypes

import torch

from parfocal.engine.backends.cuda.four_bit.blocked import Blocked

_POINTERS = ("parts", "x", "codes", "scales", "table")
_NUMBERS = ("x_stride", "codes_stride", "scales_stride", "rows", "outputs", "blocks", "share")


class Given(ctypes.Structure):
    """`Given` of product.cuh."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int) for name in _NUMBERS),
    ]


def given(parts: torch.Tensor, x: torch.Tensor, weights: Blocked, table: torch.Tensor, share: int) -> Given:
    """The tensors of a product as its kernel takes them."""
    codes, scales = weights.codes, weights.scales
    addresses = (tensor.data_ptr() for tensor in (parts, x, codes, scales, table))
    strides = x.stride(0), codes.stride(0), scales.stride(0)
    return Given(*addresses, *strides, len(x), weights.outputs, len(codes), share)
