"""Bends logits on CUDA by one copy and two launches, and decides whether that is right here.

torch takes about twenty launches, and a copy for each thing that it is told of the rows.
"""

from collections.abc import Sequence

import torch

from parfocal.engine.backends.cuda.fallback import Guarded, Report, Trial, choose
from parfocal.engine.backends.cuda.sampling.changes import Changes, change_of
from parfocal.engine.backends.cuda.sampling.kernels import TOLD, bend_kernel
from parfocal.engine.backends.cuda.sampling.likeliest import launch
from parfocal.engine.request import Sampling
from parfocal.engine.sampling import Bends, Likeliest, PlainBends
from parfocal.engine.scheduling import LogitBias, SamplingRow

# What a program stores at once, how many rules it applies at once, and its warps.
AT_ONCE, CHANGES, WARPS = 1024, 128, 4
_TRIAL_TOKENS = 2 * AT_ONCE + 9
# In place of minus infinity, from which nothing can be subtracted.
_LOWEST = -1e6


class CudaBends:
    """Does what `PlainBends` does, by kernels until one fails."""

    def __init__(self, plain: Bends, report: Report) -> None:
        self._bend = Guarded("bends", by_kernels, plain.bend, report)

    def bend(
        self,
        logits: torch.Tensor,
        places: Sequence[int],
        rows: Sequence[SamplingRow],
        allowed: Sequence[bytes | None],
        chosen: torch.Tensor,
    ) -> torch.Tensor:
        """The scores of the rows `places`; their tokens in `chosen` become the likeliest of these."""
        return self._bend(logits, places, rows, allowed, chosen)


def by_kernels(
    logits: torch.Tensor,
    places: Sequence[int],
    rows: Sequence[SamplingRow],
    allowed: Sequence[bytes | None],
    chosen: torch.Tensor,
) -> torch.Tensor:
    """As `Bends.bend`. Raises what Triton raises, and then has changed no token."""
    whole = logits if logits.stride(1) == 1 else logits.contiguous()
    vocabulary, device = whole.shape[1], whole.device
    found = [change_of(row, own, vocabulary) for row, own in zip(rows, allowed, strict=True)]
    parts = -(-vocabulary // AT_ONCE)
    told = Changes.of(places, found, allowed, (parts, AT_ONCE), device)
    scores = torch.empty(len(places), vocabulary, dtype=torch.float32, device=device)
    bend_kernel[(len(places), parts)](
        scores,
        whole,
        *told.pieces,
        whole.stride(0),
        vocabulary,
        told.row_bits,
        CHANGES=CHANGES,
        N=AT_ONCE,
        num_warps=WARPS,
        # A product and a difference in one rounding would not be what torch computes.
        enable_fp_fusion=False,
    )
    launch(chosen, scores, told.rows, TOLD.value)
    return scores


def choose_bends(device: torch.device, likeliest: Likeliest, report: Report) -> Bends:
    """What bends logits here: our kernel if its scores are torch's to the last bit, else torch."""
    plain = PlainBends(likeliest)
    return choose("bends", lambda: CudaBends(plain, report), plain, bends_trial(device), report)


def bends_trial(device: torch.device) -> Trial[Bends]:
    """What must be the same to the last bit: scores after every rule, and the likeliest tokens then."""
    return Trial(lambda bends: _trial(bends, device), 0.0)


def _trial(bends: Bends, device: torch.device) -> torch.Tensor:
    """The scores and tokens of rows with every rule, with several, and with none that may be taken."""
    bias = LogitBias.of({0: 9.5, AT_ONCE - 1: -3.25, _TRIAL_TOKENS - 1: 0.1})
    seen = tuple(range(5, _TRIAL_TOKENS, 7))
    every = Sampling(1.0, repetition_penalty=1.3, presence_penalty=0.7, frequency_penalty=0.2)
    bits = bytes([0b01101101]) * (-(-_TRIAL_TOKENS // 32) * 4)
    rows = [
        _row(every, bias=bias, prompt_ids=seen, output_ids=(5, 5, 900, AT_ONCE), banned_ids=(3, AT_ONCE + 1)),
        _row(Sampling(logit_bias={1: 1.0}), bias=bias),
        _row(Sampling(repetition_penalty=0.7), prompt_ids=seen[::2]),
        _row(Sampling(), banned_ids=tuple(range(_TRIAL_TOKENS))),
        _row(every, bias=bias, output_ids=seen[:300], banned_ids=(0, 1)),
        _row(Sampling()),
    ]
    allowed = [None, None, None, None, bits, bits[::-1]]
    logits = 3 * torch.randn(len(rows) + 1, _TRIAL_TOKENS, generator=torch.Generator().manual_seed(0))
    places = [6, 0, 2, 3, 5, 4]
    chosen = logits.argmax(dim=-1)
    chosen[2] = -1
    there = chosen.to(device)
    scores = bends.bend(logits.to(device), places, rows, allowed, there)
    return torch.cat([scores.clamp(min=_LOWEST).flatten(), there.float()])


def _row(
    sampling: Sampling,
    *,
    bias: LogitBias | None = None,
    prompt_ids: tuple[int, ...] = (),
    output_ids: tuple[int, ...] = (),
    banned_ids: tuple[int, ...] = (),
) -> SamplingRow:
    return SamplingRow(
        sampling,
        1,
        prompt_ids,
        output_ids,
        banned_ids,
        logprobs=False,
        top_logprobs=0,
        draw_seed=0,
        bias=bias,
    )
