"""The numbers of a product that is still in parts, as whatever kernel comes next adds them up.

A product leaves partial sums, a bias and x Aᵀ of the rows' adapters. They are added in one order: parts,
bias, adapter. Every row is computed by itself, so that it gets the same bits whatever is beside it.
Arithmetic is float32; numbers are rounded where they are stored.
"""

import triton
import triton.language as tl

from parfocal.engine.backends.cuda.lora import expanded_row


@triton.jit
def whole(
    left,
    counts,
    row,
    linear,
    begin,
    n,
    inside,
    PARTS: tl.constexpr,
    BIASED: tl.constexpr,
    LINEARS: tl.constexpr,
    SPLITS: tl.constexpr,
    SCALED: tl.constexpr,
    R: tl.constexpr,
):
    """Returns the outputs `n` of one linear, the first of which is number `begin` of a row of parts.

    `left` are parts, bias, then x Aᵀ and where adapters lie; `counts` the rows, their outputs, an adapter's
    linears, the first one's column, and the room for ranks.
    """
    parts, bias, h, matrices, scales, table, places = left
    rows, outputs, modules, first, ranks = counts
    at = row * outputs + begin + n
    step = rows.to(tl.int64) * outputs
    sums = tl.load(parts + at, mask=inside, other=0.0).to(tl.float32)
    for part in tl.static_range(1, PARTS):
        sums += tl.load(parts + part * step + at, mask=inside, other=0.0).to(tl.float32)
    if BIASED:
        sums += tl.load(bias + begin + n, mask=inside, other=0.0).to(tl.float32)
    if SPLITS > 0:
        place = tl.load(places + row)
        if place >= 0:
            sums += expanded_row(
                place,
                linear,
                row,
                n,
                inside,
                h,
                matrices,
                scales,
                table,
                rows,
                modules,
                first,
                ranks,
                LINEARS,
                SPLITS,
                SCALED,
                R,
            )
    return sums
