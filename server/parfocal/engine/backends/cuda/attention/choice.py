"""Decides once which attention a base uses on this card: torch's own kernel, ours, or plain torch."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch

from parfocal.engine.backends.cuda.attention.rows import CudaAttention
from parfocal.engine.backends.cuda.attention.varlen import (
    DeviceTrial,
    Need,
    installed,
    supported,
    varlen_step,
)
from parfocal.engine.backends.cuda.fallback import TOLERANCES, Report, Trial, choose
from parfocal.engine.backends.cuda.sending import Send
from parfocal.engine.model import AttentionWork, KvCache, NewTokens, ResidentBase, Scoring
from parfocal.engine.scheduling import LaidRow, Plan, PlanRow, lay_out

log = logging.getLogger(__name__)

Plain = Callable[[list[LaidRow]], AttentionWork]


class Attend(Protocol):
    """Prepares a step's attention."""

    def __call__(self, laid: list[LaidRow], send: Send | None = None) -> AttentionWork:
        """The rows' attention; what it needs on the device goes there by `send`, or at once."""


_CHUNK = 5


def choose_attention(
    base: ResidentBase, kernels: CudaAttention, plain: Plain, report: Report
) -> tuple[Attend, bool]:
    """Returns what prepares a step's attention, and whether our kernels are correct on this card.

    torch's own is preferred where it can read our cache, unless a row's bits must depend on no other row; a
    captured step uses our kernels in any case.
    """
    trial = _trial(kernels.cache, kernels.heads, base.dtype)

    def plainly(laid: list[LaidRow], send: Send | None = None) -> AttentionWork:
        del send  # torch takes its own numbers there
        return plain(laid)

    chosen = choose("attention", lambda: kernels.step, plainly, trial, report)
    if kernels.singly:
        return chosen, chosen is not plainly
    function = installed()
    support = supported(function, _need(base, kernels), DeviceTrial(base.device))
    if function is not None and support.usable:
        return partial(varlen_step, function, kernels.cache), chosen is not plainly
    log.info("torch's variable-length attention is not used: %s", support.reason)
    return chosen, chosen is not plainly


def _need(base: ResidentBase, kernels: CudaAttention) -> Need:
    keys = kernels.cache.keys[0]
    softcap = getattr(base.model.config.get_text_config(), "attn_logit_softcapping", None)  # type: ignore[operator, union-attr]
    return Need(keys.dtype, kernels.heads, keys.shape[2], keys.shape[3], keys.shape[1], softcap)


def _trial(cache: KvCache, heads: int, dtype: torch.dtype) -> Trial[Attend]:
    """Returns a prompt and the token after it, in the first blocks of a cache that nobody uses yet."""
    keys = cache.keys[0]
    blocks = tuple(range(-(-(_CHUNK + 1) // cache.block_tokens)))
    steps = [
        lay_out(Plan((PlanRow("trial", (0,) * tokens, start, blocks, None, None),)))
        for tokens, start in ((_CHUNK, 0), (1, _CHUNK))
    ]
    scores = [Scoring(keys.shape[3] ** -0.5, None, None), Scoring(keys.shape[3] ** -0.5, 3, 20.0)]

    def run(attend: Attend) -> torch.Tensor:
        draw = torch.Generator().manual_seed(0)
        found = []
        for scoring in scores:
            for laid in steps:
                sizes = [(1, n, laid[0].tokens, keys.shape[3]) for n in (heads, keys.shape[2], keys.shape[2])]
                new = (torch.randn(size, generator=draw).to(keys.device, dtype) for size in sizes)
                found.append(attend(laid).attend(0, NewTokens(*new), scoring).flatten())
        return torch.cat(found)

    return Trial(run, TOLERANCES[dtype])
