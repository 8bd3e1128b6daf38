"""Attention over the paged KV cache, in Triton.

Every program takes the queries of one key head together and folds its tiles of the context into a running
softmax (arXiv 1805.02867; FlashAttention-2, arXiv 2307.08691). The context of a row that computes one token
is cut into shares, whose results a second kernel combines (Flash-Decoding, PyTorch blog 2023). Where it is
cut depends on its own length alone, and only who computes a share on the batch: so a row gets the same bits
whatever is beside it.

The cache holds `[blocks, BLOCK_TOKENS, kv_heads, DIM]`; PLACE is the numbers of one token, kv_heads * DIM. A
`…ROOM` is a size rounded up to the power of two that Triton asks for. Nothing past a row's last token is ever
loaded: another request may have left NaN there, and 0 times NaN is NaN. Softmax is to the base 2, which the
device computes natively, so `outer` carries log2(e): scores are q·k * outer, or tanh(q·k * inner) * outer.
"""

import triton
import triton.language as tl


@triton.jit
def store_kernel(
    keys,
    values,
    places,
    key,
    value,
    key_token,
    key_head,
    value_token,
    value_head,
    PLACE: tl.constexpr,
    DIM: tl.constexpr,
    ROOM: tl.constexpr,
):
    """Stores a token's key and value at its place; a negative place takes none. Grid: (tokens,)."""
    token = tl.program_id(0).to(tl.int64)
    place = tl.load(places + token).to(tl.int64)
    if place < 0:
        return
    item = tl.arange(0, ROOM)
    inside = item < PLACE
    head = item // DIM
    dim = item % DIM
    new_key = tl.load(key + token * key_token + head * key_head + dim, mask=inside)
    new_value = tl.load(value + token * value_token + head * value_head + dim, mask=inside)
    tl.store(keys + place * PLACE + item, new_key.to(keys.dtype.element_ty), mask=inside)
    tl.store(values + place * PLACE + item, new_value.to(values.dtype.element_ty), mask=inside)


@triton.jit
def _tanh(x):
    """Returns tanh, by exp(-2|x|), which cannot overflow."""
    fading = tl.exp(-2.0 * tl.abs(x))
    return tl.where(x < 0, -1.0, 1.0) * (1.0 - fading) / (1.0 + fading)


@triton.jit
def _attend(
    q,
    own,
    table,
    keys,
    values,
    first,
    end,
    window,
    inner,
    outer,
    CAPPED: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    PLACE: tl.constexpr,
    DIM: tl.constexpr,
    TILE: tl.constexpr,
):
    """Attends q `[ROOM, DIM_ROOM]` at positions `own` `[ROOM]` to positions `first` to `end` (exclusive).

    Returns the greatest score `[ROOM]`, the sum of weights relative to it `[ROOM]`, and the sum of weighted
    values `[ROOM, DIM_ROOM]`. A query that sees none of the positions has -inf, 0 and 0.
    """
    dim = tl.arange(0, q.shape[1])
    best = tl.full([q.shape[0]], float("-inf"), tl.float32)
    total = tl.full([q.shape[0]], 0.0, tl.float32)
    answer = tl.full([q.shape[0], q.shape[1]], 0.0, tl.float32)
    for start in range(first, end, TILE):
        at = start + tl.arange(0, TILE)
        held = at < end
        block = tl.load(table + at // BLOCK_TOKENS, mask=held, other=0).to(tl.int64)
        cells = ((block * BLOCK_TOKENS + at % BLOCK_TOKENS) * PLACE)[:, None] + dim[None, :]
        whole = held[:, None] & (dim < DIM)[None, :]
        k = tl.load(keys + cells, mask=whole, other=0.0).to(q.dtype)
        v = tl.load(values + cells, mask=whole, other=0.0).to(q.dtype)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee")
        if CAPPED:
            scores = _tanh(scores * inner)
        seen = held[None, :] & (at[None, :] <= own[:, None]) & (at[None, :] > own[:, None] - window)
        scores = tl.where(seen, scores * outer, float("-inf"))
        greatest = tl.maximum(best, tl.max(scores, 1))
        level = tl.where(greatest == float("-inf"), 0.0, greatest)  # -inf less -inf is NaN
        kept = tl.exp2(best - level)
        weights = tl.exp2(scores - level[:, None])
        total = total * kept + tl.sum(weights, 1)
        answer = tl.dot(weights.to(q.dtype), v, answer * kept[:, None], input_precision="ieee")
        best = greatest
    return best, total, answer


@triton.jit
def _share_out(length, window, LEAST: tl.constexpr, MOST: tl.constexpr, TILE: tl.constexpr):
    """Returns the first position that a row's last token sees, and how many positions each share has.

    There are at most `MOST` shares, and no more than leave each `LEAST` positions.
    """
    first = tl.maximum(length - window, 0)
    shares = tl.minimum(tl.maximum((length - first) // LEAST, 1), MOST)
    tiles = tl.maximum((length - first + TILE - 1) // TILE, 1)
    return first, (tiles + shares - 1) // shares * TILE


@triton.jit(do_not_specialize=["most", "window", "room"])
def decode_kernel(
    answers,
    logs,
    query,
    keys,
    values,
    tokens,
    lengths,
    lines,
    blocks,
    most,
    query_token,
    query_head,
    window,
    inner,
    outer,
    room,
    CAPPED: tl.constexpr,
    DOT: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    PLACE: tl.constexpr,
    GROUP: tl.constexpr,
    DIM: tl.constexpr,
    ROOM: tl.constexpr,
    DIM_ROOM: tl.constexpr,
    TILE: tl.constexpr,
    LEAST: tl.constexpr,
    MOST: tl.constexpr,
):
    """Attends a row's last token to the shares of its context. Grid: (rows, kv_heads, programs).

    The programs of a head take its shares in turn. Writes each one's result and the log-sum of its weights
    at `[row, head, share]`, where there is `room` for so many shares.
    """
    row = tl.program_id(0)
    kv_head = tl.program_id(1)
    length = tl.load(lengths + row)
    seen, size = _share_out(length, window, LEAST, MOST, TILE)
    shares = (length - seen + size - 1) // size
    if tl.program_id(2) >= shares:
        return
    item = tl.arange(0, ROOM)
    dim = tl.arange(0, DIM_ROOM)
    head = kv_head * GROUP + item
    inside = (item < GROUP)[:, None] & (dim < DIM)[None, :]
    token = tl.load(tokens + row).to(tl.int64)
    asked = token * query_token + head[:, None] * query_head + dim[None, :]
    q = tl.load(query + asked, mask=inside, other=0.0).to(DOT)
    own = tl.full([ROOM], 0, tl.int32) + (length - 1)
    table = blocks + tl.load(lines + row) * most
    k, v = keys + kv_head * DIM, values + kv_head * DIM
    for share in range(tl.program_id(2), shares, tl.num_programs(2)):
        first = seen + share * size
        end = tl.minimum(first + size, length)
        best, total, answer = _attend(
            q, own, table, k, v, first, end, window, inner, outer, CAPPED, BLOCK_TOKENS, PLACE, DIM, TILE
        )
        at = (row * tl.num_programs(1) * GROUP + head) * room + share
        tl.store(logs + at, best + tl.log2(total), mask=item < GROUP)
        tl.store(answers + at[:, None] * DIM + dim[None, :], answer / total[:, None], mask=inside)


@triton.jit(do_not_specialize=["window", "room"])
def combine_kernel(
    out,
    answers,
    logs,
    tokens,
    lengths,
    window,
    room,
    DIM: tl.constexpr,
    DIM_ROOM: tl.constexpr,
    TILE: tl.constexpr,
    LEAST: tl.constexpr,
    MOST: tl.constexpr,
):
    """Combines the results of a row's shares; a row without context gets zeros. Grid: (rows, heads)."""
    row = tl.program_id(0)
    head = tl.program_id(1)
    heads = tl.num_programs(1)
    length = tl.load(lengths + row)
    first, size = _share_out(length, window, LEAST, MOST, TILE)
    share = tl.arange(0, MOST)
    dim = tl.arange(0, DIM_ROOM)
    used = first + share * size < length
    at = (row * heads + head) * room + share
    log = tl.load(logs + at, mask=used, other=float("-inf"))
    best = tl.max(log, 0)
    weights = tl.exp2(log - tl.where(best == float("-inf"), 0.0, best))
    total = tl.sum(weights, 0)
    parts = used[:, None] & (dim < DIM)[None, :]
    answer = tl.load(answers + at[:, None] * DIM + dim[None, :], mask=parts, other=0.0)
    joined = tl.sum(answer * weights[:, None], 0) / tl.where(total == 0.0, 1.0, total)
    place = out + (tl.load(tokens + row).to(tl.int64) * heads + head) * DIM
    tl.store(place + dim, joined.to(out.dtype.element_ty), mask=dim < DIM)


@triton.jit(do_not_specialize=["most", "window"])
def prefill_kernel(
    out,
    query,
    keys,
    values,
    tiles,
    blocks,
    most,
    query_token,
    query_head,
    window,
    inner,
    outer,
    CAPPED: tl.constexpr,
    DOT: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    PLACE: tl.constexpr,
    GROUP: tl.constexpr,
    DIM: tl.constexpr,
    ROOM: tl.constexpr,
    DIM_ROOM: tl.constexpr,
    TILE: tl.constexpr,
):
    """Attends neighbouring tokens of a row to the context that each sees. Grid: (tiles, kv_heads).

    Of a tile `tiles` tells the row's line in `blocks`, then the first token's place in the batch, how many
    tokens it has, and the first one's position. The query heads of a token lie side by side in a program.
    """
    tile = tiles + tl.program_id(0) * 4
    kv_head = tl.program_id(1)
    position = tl.load(tile + 3)
    end = position + tl.load(tile + 2)
    item = tl.arange(0, ROOM)
    dim = tl.arange(0, DIM_ROOM)
    own = position + item // GROUP
    head = kv_head * GROUP + item % GROUP
    inside = (own < end)[:, None] & (dim < DIM)[None, :]
    token = tl.load(tile + 1).to(tl.int64) + item // GROUP
    asked = token[:, None] * query_token + head[:, None] * query_head + dim[None, :]
    q = tl.load(query + asked, mask=inside, other=0.0).to(DOT)
    first = tl.maximum(position - window + 1, 0)
    table = blocks + tl.load(tile) * most
    k, v = keys + kv_head * DIM, values + kv_head * DIM
    _, total, answer = _attend(
        q, own, table, k, v, first, end, window, inner, outer, CAPPED, BLOCK_TOKENS, PLACE, DIM, TILE
    )
    place = ((token * tl.num_programs(1) * GROUP + head) * DIM)[:, None] + dim[None, :]
    answer = answer / tl.where(total == 0.0, 1.0, total)[:, None]
    tl.store(out + place, answer.to(out.dtype.element_ty), mask=inside)
