"""Normalises and rotates queries and keys, and stores keys and values in the cache, in one launch."""

import triton
import triton.language as tl

from parfocal.engine.backends.cuda.fused.kernels.sums import whole


@triton.jit
def _normalised(x, scale, weight, own, M: tl.constexpr, ROOM: tl.constexpr):
    """Returns the numbers of M heads, each times its own `scale`, times the `weight` of its place."""
    spread = tl.reshape(tl.broadcast_to(scale[:, None], (M, ROOM)), (M * ROOM,))
    return x * spread * tl.load(weight, mask=own, other=0.0)


@triton.jit
def _store(
    x,
    targets,
    kind,
    row,
    place,
    head,
    d,
    inside,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    DIM: tl.constexpr,
):
    """Stores numbers `d` of a token's heads of one kind: queries (0), keys (1) or values (2)."""
    query, keys, values = targets
    # How many heads of each kind this program stores.
    asking = tl.where(kind == 0, HEADS, 0)
    keeping = tl.where(place >= 0, KV_HEADS, 0)
    keyed, valued = tl.where(kind == 1, keeping, 0), tl.where(kind == 2, keeping, 0)
    at = (row * HEADS + head) * DIM + d
    cell = (place * KV_HEADS + head) * DIM + d
    tl.store(query + at, x.to(query.dtype.element_ty), mask=inside & (head < asking))
    tl.store(keys + cell, x.to(keys.dtype.element_ty), mask=inside & (head < keyed))
    tl.store(values + cell, x.to(values.dtype.element_ty), mask=inside & (head < valued))


@triton.jit(do_not_specialize=["rows", "first"])
def rotate_kernel(
    query,
    keys,
    values,
    written,
    cos,
    sin,
    query_norm,
    key_norm,
    parts,
    bias,
    h,
    matrices,
    scales,
    table,
    places,
    rows,
    outputs,
    modules,
    first,
    ranks,
    epsilon,
    NORMED: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    DIM: tl.constexpr,
    HALF: tl.constexpr,
    HALF_ROOM: tl.constexpr,
    REST_ROOM: tl.constexpr,
    PARTS: tl.constexpr,
    BIASED: tl.constexpr,
    LINEARS: tl.constexpr,
    SPLITS: tl.constexpr,
    SCALED: tl.constexpr,
    M: tl.constexpr,
    R: tl.constexpr,
):
    """Stores a token's `query` [rows, HEADS, DIM], and its keys and values at its place in the cache.

    A row of `parts` holds queries, keys and values, of three LINEARS or of one. NORMED queries and keys are
    normalised head by head; then the first HALF of a head's numbers turn with the second HALF (RoPE, arXiv
    2104.09864), by `cos` and `sin` [rows, 2 * HALF]; the rest, for which there is REST_ROOM, stay. A negative
    place in `written` takes nothing. A program takes up to M heads of one kind.
    Grid: (rows, ⌈HEADS / M⌉ + 2 ⌈KV_HEADS / M⌉).
    """
    # size: a launch is given what it needs piece by piece
    left = (parts, bias, h, matrices, scales, table, places)
    counts = (rows, outputs, modules, first, ranks)
    row = tl.program_id(0).to(tl.int64)
    block = tl.program_id(1)
    QUERIES: tl.constexpr = (HEADS + M - 1) // M
    KEYS: tl.constexpr = (KV_HEADS + M - 1) // M
    kind = (block >= QUERIES).to(tl.int32) + (block >= QUERIES + KEYS).to(tl.int32)
    head0 = (block - tl.where(kind > 0, QUERIES, 0) - tl.where(kind > 1, KEYS, 0)) * M
    heads = tl.where(kind > 0, KV_HEADS, HEADS)
    begin = tl.where(kind > 0, HEADS * DIM, 0) + tl.where(kind > 1, KV_HEADS * DIM, 0)
    # With one linear, an adapter counts its outputs from the first query on.
    linear, shift = kind, begin * 0
    if LINEARS == 1:
        linear, shift = kind * 0, begin
    item = tl.arange(0, M * HALF_ROOM)
    head = head0 + item // HALF_ROOM
    d = item % HALF_ROOM
    own = (head < heads) & (d < HALF)
    n = shift + head * DIM + d
    low = whole(left, counts, row, linear, begin - shift, n, own, PARTS, BIASED, LINEARS, SPLITS, SCALED, R)
    high = whole(
        left, counts, row, linear, begin - shift, n + HALF, own, PARTS, BIASED, LINEARS, SPLITS, SCALED, R
    )
    if NORMED:
        squares = tl.sum(tl.reshape(low * low + high * high, (M, HALF_ROOM)), 1)
    if REST_ROOM > 0:
        rest_item = tl.arange(0, M * REST_ROOM)
        rest_head = head0 + rest_item // REST_ROOM
        rest_d = 2 * HALF + rest_item % REST_ROOM
        rest_own = (rest_head < heads) & (rest_d < DIM)
        rest = whole(
            left,
            counts,
            row,
            linear,
            begin - shift,
            shift + rest_head * DIM + rest_d,
            rest_own,
            PARTS,
            BIASED,
            LINEARS,
            SPLITS,
            SCALED,
            R,
        )
        if NORMED:
            squares += tl.sum(tl.reshape(rest * rest, (M, REST_ROOM)), 1)
    if NORMED:
        scale = 1.0 / tl.sqrt(squares / DIM + epsilon)
        weight = query_norm
        if kind == 1:
            weight = key_norm
        low = tl.where(kind < 2, _normalised(low, scale, weight + d, own, M, HALF_ROOM), low)
        high = tl.where(kind < 2, _normalised(high, scale, weight + HALF + d, own, M, HALF_ROOM), high)
        if REST_ROOM > 0:
            rest = tl.where(kind < 2, _normalised(rest, scale, weight + rest_d, rest_own, M, REST_ROOM), rest)
    turn = row * (2 * HALF) + d
    low_cos = tl.load(cos + turn, mask=own, other=1.0).to(tl.float32)
    low_sin = tl.load(sin + turn, mask=own, other=0.0).to(tl.float32)
    high_cos = tl.load(cos + turn + HALF, mask=own, other=1.0).to(tl.float32)
    high_sin = tl.load(sin + turn + HALF, mask=own, other=0.0).to(tl.float32)
    turned_low = tl.where(kind < 2, low * low_cos - high * low_sin, low)
    turned_high = tl.where(kind < 2, high * high_cos + low * high_sin, high)
    targets = (query, keys, values)
    place = tl.load(written + row).to(tl.int64)
    _store(turned_low, targets, kind, row, place, head, d, own, HEADS, KV_HEADS, DIM)
    _store(turned_high, targets, kind, row, place, head, HALF + d, own, HEADS, KV_HEADS, DIM)
    if REST_ROOM > 0:
        _store(rest, targets, kind, row, place, rest_head, rest_d, rest_own, HEADS, KV_HEADS, DIM)
