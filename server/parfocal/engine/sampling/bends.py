"""Bends the logits of rows that ask for it, by bias, penalties, bans and constraints, on any machine."""

from collections.abc import Sequence
from typing import Protocol

import torch

from parfocal.engine.sampling.allowed_tokens import keep_allowed
from parfocal.engine.sampling.host_values import on_device
from parfocal.engine.sampling.likeliest import NO_TOKEN, Likeliest
from parfocal.engine.sampling.logit_rules import add_bias, ban, penalise
from parfocal.engine.scheduling import SamplingRow


class Bends(Protocol):
    """Applies rows' rules to their logits: bias, then penalties, bans, and what a constraint allows."""

    def bend(
        self,
        logits: torch.Tensor,
        places: Sequence[int],
        rows: Sequence[SamplingRow],
        allowed: Sequence[bytes | None],
        chosen: torch.Tensor,
    ) -> torch.Tensor:
        """The scores of the rows `places` of `logits`: float32 [places, vocabulary], in their own memory.

        `logits` [rows, vocabulary], of any float type on any device, are left unchanged. `rows` are those at
        `places`; `allowed` are the bits of `ConstraintState.allowed`, None for a row without. `chosen`
        [rows], int64, holds each row's likeliest token: of `places` it gets those of their scores, -1 where
        nothing may be drawn; -1 stays.
        """


class PlainBends:
    """Bends on any machine; `likeliest` finds what is likeliest then."""

    def __init__(self, likeliest: Likeliest) -> None:
        self._likeliest = likeliest

    def bend(
        self,
        logits: torch.Tensor,
        places: Sequence[int],
        rows: Sequence[SamplingRow],
        allowed: Sequence[bytes | None],
        chosen: torch.Tensor,
    ) -> torch.Tensor:
        """The scores of the rows `places`; their tokens in `chosen` become the likeliest of these."""
        own = on_device(places, logits.device)
        scores = logits.index_select(0, own).float()
        add_bias(scores, [row.bias for row in rows])
        seen = [(row.sampling, row.prompt_ids, row.output_ids) if row.penalised else None for row in rows]
        penalise(scores, seen)
        ban(scores, [row.banned_ids for row in rows])
        keep_allowed(scores, allowed)
        best = self._likeliest.of_all(scores)
        chosen[own] = best.masked_fill(chosen[own] == NO_TOKEN, NO_TOKEN)
        return scores
