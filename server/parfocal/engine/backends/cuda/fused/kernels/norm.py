"""Adds a product to the residual and normalises that, in one launch."""

import triton
import triton.language as tl

from parfocal.engine.backends.cuda.fused.kernels.sums import whole


@triton.jit(do_not_specialize=["rows", "first"])
def norm_kernel(
    y,
    residual,
    inner,
    weight,
    parts,
    bias,
    h,
    matrices,
    scales,
    table,
    places,
    rows,
    size,
    modules,
    first,
    ranks,
    epsilon,
    INNER: tl.constexpr,
    PARTS: tl.constexpr,
    BIASED: tl.constexpr,
    SPLITS: tl.constexpr,
    SCALED: tl.constexpr,
    ROOM: tl.constexpr,
    R: tl.constexpr,
):
    """Adds a product to a row's `residual` [rows, size], in place, and stores its norm in `y`. Grid: (rows,).

    With INNER the product is normalised before it is added, by weights of its own. Without PARTS there is no
    product. (Root mean square: arXiv 1910.07467.)
    """
    left = (parts, bias, h, matrices, scales, table, places)
    counts = (rows, size, modules, first, ranks)
    row = tl.program_id(0).to(tl.int64)
    n = tl.arange(0, ROOM)
    inside = n < size
    at = row * size + n
    own = tl.load(residual + at, mask=inside, other=0.0).to(tl.float32)
    if PARTS > 0:
        sums = whole(left, counts, row, 0, 0, n, inside, PARTS, BIASED, 1, SPLITS, SCALED, R)
        if INNER:
            scaled = sums / tl.sqrt(tl.sum(sums * sums, 0) / size + epsilon)
            sums = scaled * tl.load(inner + n, mask=inside, other=0.0)
        # As the next addition will read it.
        rounded = (own + sums).to(residual.dtype.element_ty)
        tl.store(residual + at, rounded, mask=inside)
        own = rounded.to(tl.float32)
    scaled = own / tl.sqrt(tl.sum(own * own, 0) / size + epsilon)
    weights = tl.load(weight + n, mask=inside, other=0.0)
    tl.store(y + at, (scaled * weights).to(y.dtype.element_ty), mask=inside)
