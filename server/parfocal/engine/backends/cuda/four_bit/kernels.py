"""4-bit products of few rows in Triton, the sum of their parts, and dequantisation. Weights as in `Blocked`.

Weights are the left operand, so that Hopper's tensor cores take them from registers. Levels are multiplied
unscaled; the sum over a block's 64 inputs is then multiplied by the block's scale, in float32. The input is
cut into parts, whose sums the next operation adds in their order. Where it is cut and how many outputs a
program computes depends on the weight alone: a row's sums are added in one order, whatever is beside it.
"""

import triton
import triton.language as tl


@triton.jit
def _levels(bytes, table, WAY: tl.constexpr, ASM: tl.constexpr, DOT: tl.constexpr, N: tl.constexpr):
    """Returns the levels of the upper and of the lower codes of `bytes` [N, 32]; see `levels.Way`."""
    if WAY == 2:
        # The types stand here by name: a tuple of constants is not taken apart.
        if tl.float16 == DOT:
            upper, lower = tl.inline_asm_elementwise(
                ASM, "=r,=r,=r,=r,r", [bytes], dtype=(tl.float16, tl.float16), is_pure=True, pack=4
            )
        else:
            upper, lower = tl.inline_asm_elementwise(
                ASM, "=r,=r,=r,=r,r", [bytes], dtype=(tl.bfloat16, tl.bfloat16), is_pure=True, pack=4
            )
    elif WAY == 1:
        pairs = tl.load(table + tl.arange(0, 256))
        found = tl.gather(pairs, tl.reshape(bytes.to(tl.int32), (N * 32,)), 0)
        found = tl.reshape(found, (N, 32))
        upper = (found >> 16).to(tl.uint16).to(DOT, bitcast=True)
        lower = (found & 0xFFFF).to(tl.uint16).to(DOT, bitcast=True)
    else:
        codes = tl.reshape(bytes.to(tl.int32), (N * 32,))
        levels = tl.load(table + tl.arange(0, 16))
        upper = tl.reshape(tl.gather(levels, codes >> 4, 0), (N, 32)).to(DOT)
        lower = tl.reshape(tl.gather(levels, codes & 15, 0), (N, 32)).to(DOT)
    return upper, lower


@triton.jit
def product_tile(
    part,
    parts,
    x,
    codes,
    scales,
    table,
    rows,
    outputs,
    blocks,
    share,
    x_stride,
    codes_stride,
    scales_stride,
    WAY: tl.constexpr,
    ASM: tl.constexpr,
    DOT: tl.constexpr,
    N: tl.constexpr,
    M: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Stores one part of x Wᵀ for a program's outputs and rows; see `product_kernel`."""
    n = tl.program_id(0) * N + tl.arange(0, N)
    row = tl.program_id(2) * M + tl.arange(0, M)
    k = tl.arange(0, 32)
    own = n < outputs
    real = row < rows
    sums = tl.zeros((N, M), dtype=tl.float32)
    from_x = x + row.to(tl.int64)[None, :] * x_stride + k[:, None]
    for block in tl.range(part * share, tl.minimum(part * share + share, blocks), num_stages=STAGES):
        bytes = tl.load(
            codes + block * codes_stride + n[:, None] * 32 + k[None, :], mask=own[:, None], other=0
        )
        scale = tl.load(scales + block * scales_stride + n, mask=own, other=0.0)
        first = tl.load(from_x + block * 64, mask=real[None, :], other=0.0).to(DOT)
        second = tl.load(from_x + block * 64 + 32, mask=real[None, :], other=0.0).to(DOT)
        upper, lower = _levels(bytes, table, WAY, ASM, DOT, N)
        own_sums = tl.dot(upper, first, input_precision="ieee")
        own_sums = tl.dot(lower, second, own_sums, input_precision="ieee")
        sums += own_sums * scale[:, None]
    target = parts + (part.to(tl.int64) * rows + row)[None, :] * outputs + n[:, None]
    tl.store(target, sums, mask=own[:, None] & real[None, :])


@triton.jit(do_not_specialize=["rows", "blocks", "share"])
def product_kernel(
    parts,
    x,
    codes,
    scales,
    table,
    rows,
    outputs,
    blocks,
    share,
    x_stride,
    codes_stride,
    scales_stride,
    WAY: tl.constexpr,
    ASM: tl.constexpr,
    DOT: tl.constexpr,
    N: tl.constexpr,
    M: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Stores `parts` [parts, rows, outputs] of x Wᵀ. Grid: (⌈outputs / N⌉, parts, ⌈rows / M⌉).

    A part takes `share` of the input's `blocks`, the last one what is left.
    """
    product_tile(
        tl.program_id(1),
        parts,
        x,
        codes,
        scales,
        table,
        rows,
        outputs,
        blocks,
        share,
        x_stride,
        codes_stride,
        scales_stride,
        WAY,
        ASM,
        DOT,
        N,
        M,
        STAGES,
    )


@triton.jit(do_not_specialize=["rows"])
def sum_kernel(
    y0,
    y1,
    y2,
    parts,
    bias,
    rows,
    outputs,
    outputs0,
    outputs1,
    outputs2,
    PARTS: tl.constexpr,
    BIASED: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
):
    """Adds `parts` [PARTS, rows, outputs] and the bias in their order; stores up to three linears' `y` apart.

    Grid: (⌈rows / M⌉, ⌈most outputs of a linear / N⌉, linears).
    """
    linear = tl.program_id(2)
    y, own, first = y0, outputs0, 0
    if linear == 1:
        y, own, first = y1, outputs1, outputs0
    if linear == 2:
        y, own, first = y2, outputs2, outputs0 + outputs1
    row = (tl.program_id(0) * M + tl.arange(0, M)).to(tl.int64)
    n = tl.program_id(1) * N + tl.arange(0, N)
    inside = (row < rows)[:, None] & (n < own)[None, :]
    at = row[:, None] * outputs + first + n[None, :]
    step = rows.to(tl.int64) * outputs
    sums = tl.zeros((M, N), dtype=tl.float32)
    for part in tl.static_range(PARTS):
        sums += tl.load(parts + part * step + at, mask=inside, other=0.0).to(tl.float32)
    if BIASED:
        sums += tl.load(bias + first + n, mask=n < own, other=0.0).to(tl.float32)[None, :]
    tl.store(y + row[:, None] * own + n[None, :], sums.to(y.dtype.element_ty), mask=inside)


@triton.jit
def dequantise_kernel(
    weight,
    codes,
    scales,
    levels,
    outputs,
    inputs,
    codes_stride,
    scales_stride,
    N: tl.constexpr,
):
    """Stores the weight [outputs, inputs], rounded once, after scaling. Grid: (⌈outputs / N⌉, blocks)."""
    n = tl.program_id(0) * N + tl.arange(0, N)
    block = tl.program_id(1)
    k = tl.arange(0, 32)
    inside = (n < outputs)[:, None] & (k < 32)[None, :]
    bytes = tl.load(codes + block * codes_stride + n[:, None] * 32 + k[None, :], mask=inside, other=0)
    scale = tl.load(scales + block * scales_stride + n, mask=n < outputs, other=0.0)[:, None]
    upper, lower = _levels(bytes, levels, 0, "", tl.float32, N)
    target = weight + n.to(tl.int64)[:, None] * inputs + block * 64 + k[None, :]
    tl.store(target, (upper * scale).to(weight.dtype.element_ty), mask=inside)
    tl.store(target + 32, (lower * scale).to(weight.dtype.element_ty), mask=inside)
