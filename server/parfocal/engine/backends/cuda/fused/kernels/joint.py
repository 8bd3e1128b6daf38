"""A product and the shrink of its rows' adapters, in one launch."""

import triton
import triton.language as tl

from parfocal.engine.backends.cuda.four_bit import product_tile
from parfocal.engine.backends.cuda.lora import shrink_tile


@triton.jit(do_not_specialize=["rows", "blocks", "share", "first", "tile_count", "above", "shrinks"])
def joint_kernel(
    parts,
    x,
    codes,
    scales,
    levels,
    rows,
    outputs,
    blocks,
    share,
    x_stride,
    codes_stride,
    scales_stride,
    matrices,
    table,
    tiles,
    h,
    inputs,
    modules,
    first,
    ranks,
    tile_count,
    above,
    shrinks,
    WAY: tl.constexpr,
    ASM: tl.constexpr,
    DOT: tl.constexpr,
    N: tl.constexpr,
    M: tl.constexpr,
    STAGES: tl.constexpr,
    LINEARS: tl.constexpr,
    PARTS: tl.constexpr,
    SHORT: tl.constexpr,
    K: tl.constexpr,
    R: tl.constexpr,
):
    """Does what `product_kernel` does, and `shrink` of the same input in the programs before it.

    Grid: as the product's, with `above` more in the second dimension; the first `shrinks` of those programs,
    counted along the first dimension, shrink: so they begin first, and end while the product runs.
    """
    # size: a launch is given what it needs piece by piece
    line = tl.program_id(1)
    if line >= above:
        product_tile(
            line - above,
            parts,
            x,
            codes,
            scales,
            levels,
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
    else:
        task = line * tl.num_programs(0) + tl.program_id(0)
        if (task < shrinks) & (tl.program_id(2) == 0):
            shrink_tile(
                task % tile_count,
                task // tile_count % LINEARS,
                LINEARS,
                task // tile_count // LINEARS,
                x,
                matrices,
                table,
                tiles,
                h,
                rows,
                inputs,
                modules,
                first,
                x_stride,
                ranks,
                PARTS,
                PARTS,
                DOT,
                SHORT,
                K,
                R,
            )
