"""A small 4-bit linear with random weights."""

import torch
from bitsandbytes.nn.modules import Linear4bit

INPUTS, OUTPUTS = 128, 48


def new_linear(
    dtype: torch.dtype = torch.float32,
    *,
    bias: bool = False,
    nested: bool = True,
    outputs: int = OUTPUTS,
    inputs: int = INPUTS,
) -> Linear4bit:
    """Returns a linear with random weights in NF4, which computes in `dtype`."""
    torch.manual_seed(1)
    linear = Linear4bit(
        inputs, outputs, bias=bias, compute_dtype=dtype, compress_statistics=nested, quant_type="nf4"
    )
    linear.support_avx512bf16_for_cpu = False
    quantised: Linear4bit = linear.to("cpu").eval()
    return quantised
