"""Triton kernels of the adapters' part of linears: h = x Aᵀ (shrink), then y += h Bᵀ (expand).

A tile is some neighbouring tokens of one adapter. Where an adapter's matrices lie is read from a table on
the device, so one launch serves all adapters, of any ranks, and all linears that share an input; and a
captured launch goes on serving when adapters come and go. The work follows each adapter's own rank: nothing
is padded to another's. The input may be split over programs (split-K); the partial sums are added in a fixed
order, whatever the tile, so that a row's answer depends on nobody else's. Compare SGMV (Punica, arXiv
2310.18547).
"""

import triton
import triton.language as tl

# A table's entry for one linear of one adapter: where A, B and their scales begin, and the rank.
FIELDS = tl.constexpr(5)
# Matrices are aligned to this many elements, so that whole vectors are loaded.
UNIT = tl.constexpr(16)


@triton.jit
def shrink_tile(
    tile,
    linear,
    linears,
    split,
    x,
    weights,
    table,
    tiles,
    h,
    tokens,
    inputs,
    modules,
    first,
    x_stride,
    h_stride,
    PARTS: tl.constexpr,
    SPLITS: tl.constexpr,
    DOT: tl.constexpr,
    M: tl.constexpr,
    K: tl.constexpr,
    R: tl.constexpr,
):
    """Stores x Aᵀ of a tile for one of `linears` and a share of the input; see `shrink`."""
    place = tl.load(tiles + tile * 3)
    if place >= 0:
        start, count = tl.load(tiles + tile * 3 + 1), tl.load(tiles + tile * 3 + 2)
        entry = table + (place.to(tl.int64) * modules + first + linear) * FIELDS
        rank = tl.load(entry + 4).to(tl.int32)
        a = weights + tl.load(entry) * UNIT
        own = tl.arange(0, M)
        row = (start + own).to(tl.int64)
        target = h + ((split * linears + linear).to(tl.int64) * tokens + row) * h_stride
        for r0 in range(0, rank, R):
            r = r0 + tl.arange(0, R)
            sums = tl.zeros((M, R), dtype=tl.float32)
            for part in range(split, PARTS, SPLITS):
                own_sums = tl.zeros((M, R), dtype=tl.float32)
                for k0 in range(part * K, inputs, PARTS * K):
                    k = k0 + tl.arange(0, K)
                    xs = tl.load(
                        x + row[:, None] * x_stride + k[None, :],
                        mask=(own < count)[:, None] & (k < inputs)[None, :],
                        other=0.0,
                    )
                    at = r.to(tl.int64)[:, None] * inputs + k[None, :]
                    ws = tl.load(a + at, mask=(r < rank)[:, None] & (k < inputs)[None, :], other=0)
                    own_sums += tl.dot(xs.to(DOT), tl.trans(ws.to(DOT)), input_precision="ieee")
                sums += own_sums
            tl.store(target[:, None] + r[None, :], sums, mask=(own < count)[:, None] & (r < rank)[None, :])


# Arguments that change between steps and layers: one compiled kernel serves all their values.
@triton.jit(do_not_specialize=["tokens", "first"])
def shrink(
    x,
    weights,
    table,
    tiles,
    h,
    tokens,
    inputs,
    modules,
    first,
    x_stride,
    h_stride,
    PARTS: tl.constexpr,
    SPLITS: tl.constexpr,
    DOT: tl.constexpr,
    M: tl.constexpr,
    K: tl.constexpr,
    R: tl.constexpr,
):
    """Stores x Aᵀ of a tile, for one linear and a share of the input: `h` [splits, linears, tokens, ranks].

    Programs: [tiles, linears, SPLITS]. `x` [tokens, inputs]; A [rank, inputs]. The input is cut into PARTS,
    whose sums are added in order: by whatever reads `h` if each part has a program (SPLITS is PARTS), here if
    one program takes them all (SPLITS is 1). A's scales come after that, with B.
    """
    shrink_tile(
        tl.program_id(0),
        tl.program_id(1),
        tl.num_programs(1),
        tl.program_id(2),
        x,
        weights,
        table,
        tiles,
        h,
        tokens,
        inputs,
        modules,
        first,
        x_stride,
        h_stride,
        PARTS,
        SPLITS,
        DOT,
        M,
        K,
        R,
    )


@triton.jit
def expanded_row(
    place,
    linear,
    row,
    n,
    inside,
    h,
    weights,
    scales,
    table,
    tokens,
    modules,
    first,
    h_stride,
    LINEARS: tl.constexpr,
    SPLITS: tl.constexpr,
    SCALED: tl.constexpr,
    R: tl.constexpr,
):
    """Returns h Bᵀ of one token, whose adapter is at `place`, for the outputs `n` of one of LINEARS.

    Without tensor cores: where rows share no adapter, they would stand idle.
    """
    entry = table + (place.to(tl.int64) * modules + first + linear) * FIELDS
    rank = tl.load(entry + 4).to(tl.int32)
    stride = (rank + 7) // 8 * 8
    b = weights + tl.load(entry + 1) * UNIT
    a_scale = scales + tl.load(entry + 2) * UNIT
    sums = tl.zeros(n.shape, dtype=tl.float32)
    for r0 in range(0, rank, R):
        r = r0 + tl.arange(0, R)
        hs = tl.zeros((R,), dtype=tl.float32)
        for part in tl.static_range(SPLITS):
            source = h + ((part * LINEARS + linear) * tokens + row) * h_stride
            hs += tl.load(source + r, mask=r < rank, other=0.0)
        if SCALED:
            hs *= tl.load(a_scale + r, mask=r < rank, other=0.0)
        at = n[:, None] * stride + r[None, :]
        ws = tl.load(b + at, mask=inside[:, None] & (r < stride)[None, :], other=0)
        sums += tl.sum(ws.to(tl.float32) * hs[None, :], 1)
    if SCALED:
        b_scale = scales + tl.load(entry + 3) * UNIT
        sums *= tl.load(b_scale + n, mask=inside, other=0.0)
    return sums


@triton.jit
def _joined(
    h, linear, row, r, real, tokens, h_stride, SPLITS: tl.constexpr, M: tl.constexpr, R: tl.constexpr
):
    """Returns a tile's sum over the parts of the input, always added in the same order."""
    sums = tl.zeros((M, R), dtype=tl.float32)
    for part in tl.static_range(SPLITS):
        source = h + ((part * tl.num_programs(1) + linear).to(tl.int64) * tokens + row) * h_stride
        sums += tl.load(source[:, None] + r[None, :], mask=real, other=0.0)
    return sums


@triton.jit
def _expanded(
    h,
    b,
    a_scale,
    linear,
    row,
    own,
    n,
    outputs,
    rank,
    tokens,
    h_stride,
    SPLITS: tl.constexpr,
    SCALED: tl.constexpr,
    DOT: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    R: tl.constexpr,
):
    """Returns h Bᵀ of a tile, whose real rows `own` tells, for the outputs `n` of one linear."""
    stride = (rank + 7) // 8 * 8
    sums = tl.zeros((M, N), dtype=tl.float32)
    for r0 in range(0, rank, R):
        r = r0 + tl.arange(0, R)
        real = own[:, None] & (r < rank)[None, :]
        hs = _joined(h, linear, row, r, real, tokens, h_stride, SPLITS, M, R)
        if SCALED:
            hs *= tl.load(a_scale + r, mask=r < rank, other=0.0)[None, :]
        at = n.to(tl.int64)[:, None] * stride + r[None, :]
        # Masked at the end of the padded row, not at the rank, so that whole vectors are in or out.
        ws = tl.load(b + at, mask=(n < outputs)[:, None] & (r < stride)[None, :], other=0)
        sums += tl.dot(hs.to(DOT), tl.trans(ws.to(DOT)), input_precision="ieee")
    return sums


@triton.jit(do_not_specialize=["tokens", "first"])
def expand(
    h,
    weights,
    scales,
    table,
    tiles,
    y0,
    y1,
    y2,
    outputs0,
    outputs1,
    outputs2,
    stride0,
    stride1,
    stride2,
    tokens,
    modules,
    first,
    h_stride,
    SPLITS: tl.constexpr,
    SCALED: tl.constexpr,
    DOT: tl.constexpr,
    M: tl.constexpr,
    N: tl.constexpr,
    R: tl.constexpr,
):
    """Adds h Bᵀ of a tile to the outputs `y` [tokens, outputs] of up to three linears, rows `stride` apart.

    Programs: [tiles, linears, ⌈most outputs / N⌉]. B is [outputs, rank], its rows padded to multiples of 8.
    """
    tile, linear, block = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    place = tl.load(tiles + tile * 3)
    if place < 0:
        return
    y, outputs, y_stride = y0, outputs0, stride0
    if linear == 1:
        y, outputs, y_stride = y1, outputs1, stride1
    if linear == 2:
        y, outputs, y_stride = y2, outputs2, stride2
    entry = table + (place.to(tl.int64) * modules + first + linear) * FIELDS
    rank = tl.load(entry + 4).to(tl.int32)
    if (block * N >= outputs) | (rank == 0):
        return
    own = tl.arange(0, M) < tl.load(tiles + tile * 3 + 2)
    row = (tl.load(tiles + tile * 3 + 1) + tl.arange(0, M)).to(tl.int64)
    n = block * N + tl.arange(0, N)
    b = weights + tl.load(entry + 1) * UNIT
    a_scale = scales + tl.load(entry + 2) * UNIT
    sums = _expanded(
        h, b, a_scale, linear, row, own, n, outputs, rank, tokens, h_stride, SPLITS, SCALED, DOT, M, N, R
    )
    if SCALED:
        b_scale = scales + tl.load(entry + 3) * UNIT
        sums *= tl.load(b_scale + n, mask=n < outputs, other=0.0)[None, :]
    target = y + row[:, None] * y_stride + n[None, :]
    real = own[:, None] & (n < outputs)[None, :]
    old = tl.load(target, mask=real, other=0.0)
    tl.store(target, (old.to(tl.float32) + sums).to(y.dtype.element_ty), mask=real)
