"""Products and norms in Triton that add a row's numbers in one order, however many rows there are.

Libraries pick their kernels and cut their sums by the number of rows, so a row's last bits depend on what is
beside it (Thinking Machines, "Defeating Nondeterminism in LLM Inference", 2025). Here every product has tiles
of one size, filled up with zeros, and each program adds all of a row's products; what that costs is that
nothing is cut where rows are few, and that little is shared where they are many.
"""

import triton
import triton.language as tl


@triton.jit
def _rows_of(x, row, k, rows, inputs, x_stride):
    """Returns the inputs `k` of rows `row`; zeros where there are none."""
    inside = (row < rows)[:, None] & (k < inputs)[None, :]
    return tl.load(x + row.to(tl.int64)[:, None] * x_stride + k[None, :], mask=inside, other=0.0)


@triton.jit
def _store(y, bias, row, n, sums, rows, outputs, BIASED: tl.constexpr):
    if BIASED:
        sums += tl.load(bias + n, mask=n < outputs, other=0.0).to(tl.float32)[None, :]
    inside = (row < rows)[:, None] & (n < outputs)[None, :]
    target = y + row.to(tl.int64)[:, None] * outputs + n[None, :]
    tl.store(target, sums.to(y.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["rows"])
def dense_kernel(
    y,
    x,
    weight,
    bias,
    rows,
    outputs,
    inputs,
    x_stride,
    BIASED: tl.constexpr,
    DOT: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
):
    """Stores y [rows, outputs] = x Wᵀ + bias. Grid: (⌈outputs / N⌉, ⌈rows / M⌉). W [outputs, inputs]."""
    n = tl.program_id(0) * N + tl.arange(0, N)
    row = tl.program_id(1) * M + tl.arange(0, M)
    sums = tl.zeros((M, N), dtype=tl.float32)
    for k0 in range(0, inputs, K):
        k = k0 + tl.arange(0, K)
        xs = _rows_of(x, row, k, rows, inputs, x_stride)
        at = n.to(tl.int64)[:, None] * inputs + k[None, :]
        ws = tl.load(weight + at, mask=(n < outputs)[:, None] & (k < inputs)[None, :], other=0.0)
        sums += tl.dot(xs.to(DOT), tl.trans(ws.to(DOT)), input_precision="ieee")
    _store(y, bias, row, n, sums, rows, outputs, BIASED)


@triton.jit
def _scale(scales, outer, outer_levels, offset, block, inside, NESTED: tl.constexpr, OUTER: tl.constexpr):
    """Returns the scales of 4-bit `block`s: floats, or bytes that stand for levels of an outer scale."""
    scale = tl.load(scales + block, mask=inside, other=0)
    if NESTED:
        whole = tl.load(outer + block // OUTER, mask=inside, other=0.0)
        scale = tl.load(outer_levels + scale.to(tl.int32)) * whole + tl.load(offset)
    return scale


@triton.jit(do_not_specialize=["rows"])
def four_bit_kernel(
    y,
    x,
    codes,
    levels,
    scales,
    outer,
    outer_levels,
    offset,
    bias,
    rows,
    outputs,
    inputs,
    x_stride,
    NESTED: tl.constexpr,
    BIASED: tl.constexpr,
    WHOLE: tl.constexpr,
    BLOCK: tl.constexpr,
    OUTER: tl.constexpr,
    DOT: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    K: tl.constexpr,
):
    """Stores y [rows, outputs] = x Wᵀ + bias for bitsandbytes' 4-bit W. Grid as `dense_kernel`'s.

    Two weights lie in a byte of `codes`, the first in its upper half, row after row; BLOCK neighbours share a
    scale. With WHOLE, a row's K neighbours always do. (QLoRA, arXiv 2305.14314.)
    """
    n = tl.program_id(0) * N + tl.arange(0, N)
    row = tl.program_id(1) * M + tl.arange(0, M)
    begin = n.to(tl.int64) * inputs
    sums = tl.zeros((M, N), dtype=tl.float32)
    for k0 in range(0, inputs, K):
        k = k0 + tl.arange(0, K)
        xs = _rows_of(x, row, k, rows, inputs, x_stride)
        at = begin[:, None] + k[None, :]
        inside = (n < outputs)[:, None] & (k < inputs)[None, :]
        byte = tl.load(codes + at // 2, mask=inside, other=0).to(tl.int32)
        level = tl.load(levels + ((byte >> (4 - at % 2 * 4).to(tl.int32)) & 15))
        if WHOLE:
            block = (begin + k0) // BLOCK
            scale = _scale(scales, outer, outer_levels, offset, block, n < outputs, NESTED, OUTER)[:, None]
        else:
            scale = _scale(scales, outer, outer_levels, offset, at // BLOCK, inside, NESTED, OUTER)
        # A weight is rounded to the type that it is multiplied in, as where it is dequantised.
        ws = tl.where(inside, level * scale, 0.0).to(DOT)
        sums += tl.dot(xs.to(DOT), tl.trans(ws), input_precision="ieee")
    _store(y, bias, row, n, sums, rows, outputs, BIASED)


@triton.jit
def norm_kernel(y, x, weight, size, epsilon, ROUNDS_FIRST: tl.constexpr, ROOM: tl.constexpr):
    """Stores x / sqrt(mean(x²) + epsilon) * weight for rows of `size` numbers. Grid: (rows,)."""
    at = tl.arange(0, ROOM)
    begin = tl.program_id(0).to(tl.int64) * size
    own = tl.load(x + begin + at, mask=at < size, other=0.0).to(tl.float32)
    scaled = own / tl.sqrt(tl.sum(own * own, 0) / size + epsilon)
    if ROUNDS_FIRST:
        scaled = scaled.to(y.dtype.element_ty).to(tl.float32)
    weights = tl.load(weight + at, mask=at < size, other=0.0)
    tl.store(y + begin + at, (scaled * weights).to(y.dtype.element_ty), mask=at < size)
