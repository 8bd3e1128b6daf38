"""The dtype in which kernels multiply."""

import torch
import triton.language as tl

_PRODUCTS = {torch.float32: tl.float32, torch.float16: tl.float16, torch.bfloat16: tl.bfloat16}


def product_type(given: torch.Tensor) -> tl.dtype:
    """The dtype in which products of such numbers are computed: their own, on a GPU.

    Triton's interpreter would take bfloat16's bits for integers, so there they are float32.
    """
    return tl.float32 if not given.is_cuda and given.dtype is torch.bfloat16 else _PRODUCTS[given.dtype]
