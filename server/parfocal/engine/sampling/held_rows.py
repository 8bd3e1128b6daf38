"""Chooses for held rows whose logits are at hand, on a CPU: among allowed tokens alone, without torch.

Most often these are few, and the rest of the vocabulary costs nothing. One call of torch takes longer than
all that numpy does for a row.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from parfocal.engine.request import Sampling
from parfocal.engine.sampling.allowed_tokens import AllowedIds
from parfocal.engine.sampling.draws import COLDEST, draw, numbers
from parfocal.engine.scheduling import SamplingRow

_FAILED = -1


def held_alone(logits: torch.Tensor, rows: Sequence[SamplingRow]) -> frozenset[int]:
    """The held rows that draw from their own logits as they are, if these are at hand."""
    if logits.device.type != "cpu" or logits.dtype is not torch.float32:
        return frozenset()
    return frozenset(
        i
        for i, row in enumerate(rows)
        if row.constraint is not None and row.bias is None and not row.penalised
    )


def settled_rows(rows: Sequence[SamplingRow], alone: Collection[int], chosen: torch.Tensor) -> set[int]:
    """The rows `alone` that need know no more of what is allowed: greedy ones that may take what is `chosen`.

    Under an adapter that has learnt what its constraint asks for, the likeliest token of all nearly always is
    allowed. A broken row has no token and is settled, too.
    """
    if not alone:
        return set()
    likeliest: list[int] = chosen.tolist()
    return {i for i in alone if likeliest[i] == _FAILED or _may_take(rows[i], likeliest[i])}


def choose_alone(
    logits: torch.Tensor,
    rows: Sequence[SamplingRow],
    allowed: Mapping[int, bytes],
    lists: AllowedIds,
    chosen: torch.Tensor,
) -> None:
    """Chooses, in place, a token for each row of `allowed` among those that have their bit, or -1."""
    if not allowed:
        return
    scores, tokens = logits.numpy(), chosen.numpy()
    drawing = [i for i in allowed if not rows[i].greedy]
    chances = dict(zip(drawing, numbers([rows[i] for i in drawing]), strict=True)) if drawing else {}
    for i, bits in allowed.items():
        ids = lists.without(rows[i].banned_ids, bits, scores.shape[-1])
        place = _chosen(scores[i].take(ids), rows[i].sampling, chances.get(i))
        tokens[i] = _FAILED if place == _FAILED else ids[place]


def _may_take(row: SamplingRow, likeliest: int) -> bool:
    if row.constraint is None or not row.greedy or likeliest in row.banned_ids:
        return False
    return row.constraint.allows(likeliest)


def _chosen(scores: npt.NDArray[np.float32], sampling: Sampling, chance: np.float64 | None) -> int:
    """The place of the best of `scores` or, by `chance`, of one that is drawn; -1 if none is possible."""
    if not len(scores):
        return _FAILED
    best = scores.argmax()
    if scores[best] == -np.inf:
        return _FAILED
    return int(best) if chance is None else _drawn(scores - scores[best], sampling, chance)


def _drawn(scores: npt.NDArray[np.float32], sampling: Sampling, chance: np.float64) -> int:
    """What `draw` finds in one row; most often without torch, whose calls take longer than a few tokens."""
    if sampling.top_k > 0 or sampling.top_p < 1.0 or sampling.min_p > 0.0:
        return int(draw(torch.from_numpy(scores)[None], [sampling], np.array([chance])))
    with np.errstate(over="ignore", under="ignore"):  # at the lowest temperatures
        weights = np.exp(scores / np.float32(max(sampling.temperature, COLDEST)))
    sums = weights.cumsum(dtype=np.float64)
    return min(int(sums.searchsorted(chance * sums[-1])), len(sums) - 1)
