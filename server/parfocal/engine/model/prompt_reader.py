"""Reads what rows want to know of their prompts, from the hidden states of a step."""

from array import array
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch

from parfocal.engine.model.forward import Forward
from parfocal.engine.request import Pooling
from parfocal.engine.sampling import Scores, score
from parfocal.engine.scheduling import PromptRead, Reading, SampledToken

# Whole numbers of such grains add up exactly in any order, so that how a prompt was cut does not show: up to
# 2²⁹ in sum, where states after a norm are about 1. A float32 near 1 is no finer.
_GRAINS = 2.0**24


class PromptReader:
    """Takes at most `most_places` places through the head at a time, however long the prompts are.

    With `row_by_row` a place's sums are those that it has alone.
    """

    def __init__(self, forward: Forward, most_places: int, *, row_by_row: bool = False) -> None:
        self._forward = forward
        self._most_places = most_places
        self._row_by_row = row_by_row

    def read(self, states: torch.Tensor, readings: Sequence[Reading]) -> list[SampledToken]:
        """What was read for each of `readings`, without a token, or an error.

        `states` `[places, hidden]` are those of the readings' places, one reading after the other.
        """
        ends = list(accumulate(reading.end - reading.first for reading in readings))
        own = [states[end - r.end + r.first : end] for end, r in zip(ends, readings, strict=True)]
        scored = self._scores(
            torch.cat([part[: len(r.targets)] for part, r in zip(own, readings, strict=True)]),
            [target for reading in readings for target in reading.targets],
            max(reading.top for reading in readings),
        )
        found, at = [], 0
        for part, reading in zip(own, readings, strict=True):
            rows = slice(at, at + len(reading.targets))
            at = rows.stop
            found.append(_result(scored, rows, reading, _pooled(part, reading.pooling)))
        return found

    def _scores(self, states: torch.Tensor, targets: Sequence[int], width: int) -> list[np.ndarray]:
        """The targets' log-probabilities, the likeliest tokens' and their ids, in host memory."""
        wanted = torch.tensor(targets, device=states.device, dtype=torch.int64)
        parts = [
            self._score(self._forward.head(some), few, width)
            for some, few in zip(
                states.split(self._most_places), wanted.split(self._most_places), strict=True
            )
            if len(some)
        ]
        if not parts:
            return [np.empty(0), np.empty((0, width)), np.empty((0, width))]
        return [torch.cat(each).cpu().numpy() for each in zip(*parts, strict=True)]

    def _score(self, logits: torch.Tensor, targets: torch.Tensor, width: int) -> Scores:
        if not self._row_by_row:
            return score(logits, targets, width)
        rows = zip(logits.split(1), targets.split(1), strict=True)
        return Scores(*map(torch.cat, zip(*(score(*row, width) for row in rows), strict=True)))


def _pooled(states: torch.Tensor, pooling: Pooling | None) -> list[float]:
    """The sum of a row's states or the last of them, in double precision where the device has it."""
    if pooling is None:
        return []
    if pooling is Pooling.LAST:
        pooled = states[-1]
    elif states.device.type == "mps":
        pooled = states.sum(dim=0, dtype=torch.float32)
    else:
        pooled = states.double().mul_(_GRAINS).round_().sum(dim=0) / _GRAINS
    found: list[float] = pooled.tolist()
    return found


def _result(scored: Sequence[np.ndarray], rows: slice, reading: Reading, states: list[float]) -> SampledToken:
    chosen, top, ids = (each[rows] for each in scored)
    broken = int(np.isnan(chosen).sum())
    if broken:
        return SampledToken(-1, error=f"the logits after {broken} tokens of the prompt are not finite")
    if not np.isfinite(states).all():
        return SampledToken(-1, error="the hidden states of the prompt are not finite")
    return SampledToken(
        -1,
        read=PromptRead(
            logprobs=array("f", chosen.astype(np.float32).tobytes()),
            top_ids=array("i", ids[:, : reading.top].astype(np.int32).tobytes()),
            top_logprobs=array("f", top[:, : reading.top].astype(np.float32).tobytes()),
            states=states,
        ),
    )
