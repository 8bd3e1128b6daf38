"""Rows of logits under rules, the likeliest tokens of rows, and draws from rows, each in one launch."""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["row_stride"])
def likeliest_kernel(
    chosen, logits, rows, row_stride, vocabulary, BENT: tl.constexpr, STRIDE: tl.constexpr, N: tl.constexpr
):
    """Stores the first place of a row's highest logit; -1 where that is not finite or a logit is NaN.

    `logits` [rows, vocabulary], rows `row_stride` apart; `chosen` [rows]. Grid: (rows,). Each lane keeps the
    first of its own highest logits; of the lanes' best the lowest place is the row's. BENT rows have their
    places in `chosen` at the head of each STRIDE numbers of `rows`; there a -1 stays.
    """
    row = tl.program_id(0).to(tl.int64)
    own = tl.arange(0, N)
    best = tl.full((N,), float("-inf"), tl.float32)
    at = own
    broken = tl.zeros((N,), tl.int32)
    for first in range(0, vocabulary, N):
        token = first + own
        inside = token < vocabulary
        found = tl.load(logits + row * row_stride + token, mask=inside, other=float("-inf")).to(tl.float32)
        broken |= (found != found).to(tl.int32)
        at = tl.where(found > best, token, at)
        best = tl.where(found > best, found, best)
    peak = tl.max(best, 0)
    place = tl.min(tl.where(best == peak, at, vocabulary), 0)
    is_right = (tl.max(broken, 0) == 0) & (peak > float("-inf")) & (peak < float("inf"))
    to = chosen + row
    if BENT:
        to = chosen + tl.load(rows + row * STRIDE)
        is_right &= tl.load(to) >= 0
    tl.store(to, tl.where(is_right, place, -1).to(tl.int64))


# What is known of a bent row: its place, and which of the bits are its own (-1: all tokens are allowed).
TOLD = tl.constexpr(2)


@triton.jit(do_not_specialize=["row_stride", "vocabulary", "row_bits"])
def bend_kernel(
    scores,
    logits,
    rows,
    bounds,
    ids,
    biases,
    factors,
    offsets,
    bits,
    row_stride,
    vocabulary,
    row_bits,
    CHANGES: tl.constexpr,
    N: tl.constexpr,
):
    """Stores rows' logits as `scores` [bent rows, vocabulary], float32, after their rules.

    `logits` [any, vocabulary], rows `row_stride` apart; `rows` [bent rows, TOLD]. A program stores N tokens
    of a row: -inf where the row's `bits`, `row_bits` bytes of them, have none; then, once more, those that
    rules change. These are the `ids` from one of `bounds` [bent rows, parts + 1] up to the next, CHANGES at
    once: a logit gets its bias, is divided by its factor or, where it is negative, multiplied, and loses its
    offset. Grid: (bent rows, parts).
    """
    # size: a launch is given what it needs piece by piece
    own = tl.program_id(0).to(tl.int64)
    part = tl.program_id(1)
    row = logits + tl.load(rows + own * TOLD) * row_stride
    its_bits = tl.load(rows + own * TOLD + 1)
    out = scores + own * vocabulary
    token = part * N + tl.arange(0, N)
    inside = token < vocabulary
    found = tl.load(row + token, mask=inside, other=0.0).to(tl.float32)
    if its_bits >= 0:
        eight = tl.load(bits + its_bits * row_bits + token // 8, mask=inside, other=0).to(tl.int32)
        found = tl.where(((eight >> (token % 8)) & 1) != 0, found, float("-inf"))
    tl.store(out + token, found, mask=inside)
    bound = bounds + own * (tl.num_programs(1) + 1) + part
    first = tl.load(bound)
    end = tl.load(bound + 1)
    if first < end:
        # Another thread may have stored what is stored again.
        tl.debug_barrier()
        for begin in range(first, end, CHANGES):
            at = begin + tl.arange(0, CHANGES)
            has = at < end
            changed = tl.load(ids + at, mask=has, other=0)
            score = tl.load(row + changed, mask=has, other=0.0).to(tl.float32)
            score += tl.load(biases + at, mask=has, other=0.0)
            factor = tl.load(factors + at, mask=has, other=1.0)
            score = tl.where(score < 0, score * factor, tl.div_rn(score, factor))
            score -= tl.load(offsets + at, mask=has, other=0.0)
            tl.store(out + changed, score, mask=has)


# What a draw knows of a row: its place among the logits, and among the tokens; temperature, top-k (0: none),
# top-p, min-p and its number in (0, 1].
SETTINGS = tl.constexpr(7)
# The bits of 1.0, the weight of a row's likeliest token. Weights compare as their bits do.
_HIGHEST = tl.constexpr(0x3F800000)


@triton.jit(do_not_specialize=["row_stride"])
def draw_kernel(
    chosen, logits, settings, row_stride, vocabulary, PIVOTS: tl.constexpr, FEW: tl.constexpr, N: tl.constexpr
):
    """Replaces a row's likeliest token by the one that its number draws; -1 stays.

    `logits` [any, vocabulary], rows `row_stride` apart; `chosen` [rows]; `settings` [drawn rows, SETTINGS],
    float64. Grid: (drawn rows,). Reads the row again for each step, since it does not fit into a program:
    the cache holds it. The searches take FEW tokens at once, other steps N.
    """
    own = settings + tl.program_id(0) * SETTINGS
    row = logits + tl.load(own).to(tl.int64) * row_stride
    place = tl.load(own + 1).to(tl.int64)
    temperature = tl.load(own + 2).to(tl.float32)
    count = tl.load(own + 3).to(tl.float32)
    share = tl.load(own + 4).to(tl.float32)
    ratio = tl.load(own + 5).to(tl.float32)
    chance = tl.load(own + 6)
    likeliest = tl.load(chosen + place)
    if likeliest >= 0:
        peak = tl.load(row + likeliest).to(tl.float32)
        floor = tl.full((), 0, tl.int32)
        if count > 0:
            floor = _floor(row, vocabulary, peak, temperature, floor, count, True, PIVOTS, FEW)
        if share < 1:
            kept = tl.full((), 0.0, tl.float64)
            for first in range(0, vocabulary, N):
                kept += _kept_sum(row, first, vocabulary, peak, temperature, floor, N)
            mass = share * kept.to(tl.float32)
            floor = _floor(row, vocabulary, peak, temperature, floor, mass, False, PIVOTS, FEW)
        floor = tl.maximum(floor, ratio.to(tl.int32, bitcast=True))
        total = tl.full((), 0.0, tl.float64)
        for first in range(0, vocabulary, N):
            total += _kept_sum(row, first, vocabulary, peak, temperature, floor, N)
        target = chance * total
        at = tl.full((), 0, tl.int32)
        passed = tl.full((), 0.0, tl.float64)
        here = _kept_sum(row, at, vocabulary, peak, temperature, floor, N)
        # These are the same sums in the same order, so the last of them is the total, which is enough.
        while passed + here < target:
            passed += here
            at += N
            here = _kept_sum(row, at, vocabulary, peak, temperature, floor, N)
        token = at + tl.arange(0, N)
        kept_here = _kept(row, token, vocabulary, peak, temperature, floor)
        reached = (passed + tl.cumsum(kept_here.to(tl.float64), 0) >= target) & (kept_here > 0)
        first_reached = tl.min(tl.where(reached, token, vocabulary), 0)
        # The sum of a part may be more in its last bit than its running sum.
        last_kept = tl.max(tl.where(kept_here > 0, token, 0), 0)
        drawn = tl.where(first_reached < vocabulary, first_reached, last_kept)
        tl.store(chosen + place, drawn.to(tl.int64))


@triton.jit
def _floor(
    row,
    vocabulary,
    peak,
    temperature,
    low,
    wanted,
    COUNTED: tl.constexpr,
    PIVOTS: tl.constexpr,
    N: tl.constexpr,
):
    """The bits of the highest weight such that the weights that reach it are `wanted`, in number or in sum.

    At least `low`. Or of a lower one that as many reach: then the search ends early. Each pass over the row
    asks at PIVOTS weights and leaves a PIVOTS-th of what lay between.
    """
    high = tl.full((), _HIGHEST, tl.int32)
    found = tl.full((), -1.0, tl.float32)
    while (low < high) & (found != wanted):
        step = (high - low + PIVOTS - 1) // PIVOTS
        pivots = tl.minimum(low + step * (tl.arange(0, PIVOTS) + 1), high)
        reaching = tl.zeros((PIVOTS, N), tl.float32)
        for first in range(0, vocabulary, N):
            weights = _weights(row, first + tl.arange(0, N), vocabulary, peak, temperature)
            reaches = weights.to(tl.int32, bitcast=True)[None, :] >= pivots[:, None]
            reaching += tl.where(reaches, 1.0 if COUNTED else weights[None, :], 0.0)
        sums = tl.sum(reaching, 1)
        enough = sums >= wanted
        low = tl.maximum(low, tl.max(tl.where(enough, pivots, 0), 0))
        found = tl.min(tl.where(enough, sums, float("inf")), 0)
        high = tl.min(tl.where(enough, high, pivots - 1), 0)
    return low


@triton.jit
def _kept_sum(row, first, vocabulary, peak, temperature, floor, N: tl.constexpr):
    kept = _kept(row, first + tl.arange(0, N), vocabulary, peak, temperature, floor)
    return tl.sum(kept.to(tl.float64), 0)


@triton.jit
def _kept(row, token, vocabulary, peak, temperature, floor):
    """The tokens' weights, 0 where they do not reach the floor."""
    weights = _weights(row, token, vocabulary, peak, temperature)
    return tl.where(weights.to(tl.int32, bitcast=True) >= floor, weights, 0.0)


@triton.jit
def _weights(row, token, vocabulary, peak, temperature):
    """The tokens' probabilities as multiples of the likeliest one's; 0 outside the vocabulary."""
    scores = tl.load(row + token, mask=token < vocabulary, other=float("-inf")).to(tl.float32)
    # Rounded as torch does: an error of a large quotient would be one of many bits of its exponential.
    return tl.exp(tl.div_rn(scores - peak, temperature))
