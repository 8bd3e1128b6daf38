"""Draws tokens by random numbers: a row's token is a function of its scores, its settings and its number."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from parfocal.engine.request import Sampling
from parfocal.engine.sampling.host_values import on_device
from parfocal.engine.sampling.likeliest import NO_TOKEN
from parfocal.engine.sampling.logit_rules import lowest_kept
from parfocal.engine.sampling.philox import uniforms
from parfocal.engine.scheduling import SamplingRow

# Colder draws are the same, until in float32 a temperature is zero.
COLDEST = 1e-6


class Draws(Protocol):
    """Draws tokens of rows of logits."""

    def draw(
        self,
        logits: torch.Tensor,
        pairs: Sequence[tuple[int, int]],
        samplings: Sequence[Sampling],
        chances: npt.NDArray[np.float64],
        chosen: torch.Tensor,
    ) -> None:
        """Replaces tokens in `chosen`, int64, each by its chance in a row of `logits` [rows, vocabulary].

        `pairs` are that row, and the token's place in `chosen`, which holds the row's likeliest token; -1,
        where there is none, stays. `logits`, of any float type on any device, are left unchanged.
        """


class PlainDraws:
    """Draws on any machine."""

    def draw(
        self,
        logits: torch.Tensor,
        pairs: Sequence[tuple[int, int]],
        samplings: Sequence[Sampling],
        chances: npt.NDArray[np.float64],
        chosen: torch.Tensor,
    ) -> None:
        """A broken row draws a token as well, which is then not taken."""
        rows, places = on_device(pairs, logits.device).unbind(1)
        scores, likeliest = logits.index_select(0, rows).float(), chosen[places]
        scores = scores - scores.gather(1, likeliest.clamp(min=0)[:, None])
        drawn = draw(scores, samplings, chances)
        chosen[places] = drawn.masked_fill(likeliest == NO_TOKEN, NO_TOKEN)


def numbers(rows: Sequence[SamplingRow]) -> npt.NDArray[np.float64]:
    """The number in (0, 1] by which each row is drawn."""
    return uniforms([row.draw_seed for row in rows], [row.position for row in rows])


def draw(
    scores: torch.Tensor, samplings: Sequence[Sampling], chances: npt.NDArray[np.float64]
) -> torch.Tensor:
    """A place for each chance in its row of `scores`, whose highest is 0 so that no temperature overflows.

    Overwrites `scores`.
    """
    temperatures = on_device(
        [max(one.temperature, COLDEST) for one in samplings], scores.device, torch.float32
    )
    scores.div_(temperatures[:, None])
    weights = scores.exp_()
    if any(one.top_k > 0 or one.top_p < 1.0 or one.min_p > 0.0 for one in samplings):
        weights.mul_(weights >= lowest_kept(weights, samplings)[:, None])
    # Sums over a vocabulary need double precision; Metal has none.
    wide = torch.float32 if weights.device.type == "mps" else torch.float64
    sums = weights.cumsum(dim=-1, dtype=wide)
    # In (0, total]: the first sum that reaches it belongs to a token whose probability is not zero.
    targets = on_device(chances, weights.device, wide)[:, None] * sums[:, -1:]
    # A broken row's sums are NaN and put the draw past the end; the caller marks the row as failed.
    return torch.searchsorted(sums, targets).squeeze(-1).clamp_(max=weights.shape[-1] - 1)
