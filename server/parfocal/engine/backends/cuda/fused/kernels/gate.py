"""Opens gates for what goes up, in one launch."""

import triton
import triton.language as tl

from parfocal.engine.backends.cuda.fused.kernels.sums import whole


@triton.jit(do_not_specialize=["rows", "first"])
def gate_kernel(
    y,
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
    GELU: tl.constexpr,
    PARTS: tl.constexpr,
    BIASED: tl.constexpr,
    LINEARS: tl.constexpr,
    SPLITS: tl.constexpr,
    SCALED: tl.constexpr,
    N: tl.constexpr,
    R: tl.constexpr,
):
    """Stores act(gate) * up of a token in `y` [rows, size]. Grid: (rows, ⌈size / N⌉).

    A row of `parts` holds gate and up, of two LINEARS or of one. The activation is SiLU, or GELU by tanh.
    """
    left = (parts, bias, h, matrices, scales, table, places)
    counts = (rows, 2 * size, modules, first, ranks)
    row = tl.program_id(0).to(tl.int64)
    n = tl.program_id(1) * N + tl.arange(0, N)
    inside = n < size
    gate = whole(left, counts, row, 0, 0, n, inside, PARTS, BIASED, LINEARS, SPLITS, SCALED, R)
    # With one linear, an adapter counts its outputs from the first gate on.
    shift = size * (2 - LINEARS)
    up = whole(
        left,
        counts,
        row,
        LINEARS - 1,
        size - shift,
        shift + n,
        inside,
        PARTS,
        BIASED,
        LINEARS,
        SPLITS,
        SCALED,
        R,
    )
    within = gate
    if GELU:
        # x (1 + tanh(z)) / 2 is x / (1 + exp(-2 z)).
        within = 1.5957691216057308 * (gate + 0.044715 * gate * gate * gate)
    # Beyond 80 the quotient is nothing, and the exponential would soon overflow.
    open_by = 1.0 / (1.0 + tl.exp(tl.minimum(-within, 80.0)))
    tl.store(y + row * size + n, (gate * open_by * up).to(y.dtype.element_ty), mask=inside)
