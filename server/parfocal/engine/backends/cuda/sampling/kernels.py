"""The likeliest tokens of rows of logits, in one launch."""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["row_stride"])
def likeliest_kernel(chosen, logits, row_stride, vocabulary, N: tl.constexpr):
    """Stores the first place of a row's highest logit; -1 where that is not finite or a logit is NaN.

    `logits` [rows, vocabulary], rows `row_stride` apart; `chosen` [rows]. Grid: (rows,). Each lane keeps the
    first of its own highest logits; of the lanes' best the lowest place is the row's.
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
    tl.store(chosen + row, tl.where(is_right, place, -1).to(tl.int64))
