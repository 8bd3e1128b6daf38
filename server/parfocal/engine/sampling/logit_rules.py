"""The rules that change or truncate logits: bias, penalties, bans, top-k, top-p, min-p. Draws nothing.

A cut is the lowest weight that a row keeps, so tokens that tie with the last one kept stay: a row's result
never depends on how a sort happens to order ties.
"""

from collections.abc import Sequence

import numpy as np
import torch

from parfocal.engine.request import Sampling
from parfocal.engine.sampling.host_values import on_device
from parfocal.engine.scheduling import LogitBias

# A nucleus nearly always fits in this many tokens, and finding them is faster than sorting a whole row.
_NUCLEUS_CANDIDATES = 1024

Penalised = tuple[Sampling, Sequence[int], Sequence[int]]


def add_bias(scores: torch.Tensor, rows: Sequence[LogitBias | None]) -> None:
    """Adds each row's bias in place to `scores` [rows, vocabulary]; None leaves a row alone."""
    found = [(place, bias) for place, bias in enumerate(rows) if bias is not None]
    if not found:
        return
    places = np.repeat([place for place, _ in found], [len(bias.ids) for _, bias in found])
    ids = np.concatenate([np.frombuffer(bias.ids, np.int64) for _, bias in found])
    values = np.concatenate([np.frombuffer(bias.values, np.float32) for _, bias in found])
    where = tuple(on_device(one, scores.device) for one in (places, ids))
    scores[where] += on_device(values, scores.device)


def penalise(scores: torch.Tensor, rows: Sequence[Penalised | None]) -> None:
    """Applies each row's penalties in place to `scores` [rows, vocabulary]; None leaves a row alone.

    A row is (settings, prompt ids, generated ids). Repetition divides positive and multiplies negative scores
    of tokens in prompt or answer (CTRL, arXiv 1909.05858; transformers); then frequency x count and presence
    are subtracted for tokens of the answer (OpenAI). The cost follows the tokens seen, not the vocabulary.
    """
    found = [(place, penalties(row, scores.shape[-1])) for place, row in enumerate(rows) if row is not None]
    if not found:
        return
    owners = np.repeat([place for place, _ in found], [len(each[0]) for _, each in found])
    parts = [np.concatenate(one) for one in zip(*(each for _, each in found), strict=True)]
    places, ids, factors, offsets = (on_device(one, scores.device) for one in (owners, *parts))
    seen = scores[places, ids]
    seen = torch.where(seen < 0, seen * factors, seen / factors) - offsets
    scores[places, ids] = seen


def penalties(row: Penalised, vocabulary: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct tokens that a row has seen, ascending, with their factors and offsets; see `penalise`."""
    sampling, prompt_ids, output_ids = row
    generated, counts = np.unique(np.asarray(output_ids, dtype=np.int64), return_counts=True)
    ids = generated
    if sampling.repetition_penalty != 1.0:
        ids = np.union1d(generated, np.asarray(prompt_ids, dtype=np.int64))
    offsets = np.zeros(len(ids), dtype=np.float32)
    offsets[np.searchsorted(ids, generated)] = sampling.frequency_penalty * counts + sampling.presence_penalty
    factors = np.full(len(ids), sampling.repetition_penalty, dtype=np.float32)
    inside = (ids >= 0) & (ids < vocabulary)
    return ids[inside], factors[inside], offsets[inside]


def ban(scores: torch.Tensor, banned: Sequence[Sequence[int]]) -> None:
    """Sets each row's banned ids to -inf in place; ids outside the vocabulary cannot be drawn anyway."""
    pairs = [(row, one) for row, ids in enumerate(banned) for one in ids if 0 <= one < scores.shape[-1]]
    if pairs:
        places = on_device(pairs, scores.device)
        scores[places[:, 0], places[:, 1]] = -torch.inf


def lowest_kept(weights: torch.Tensor, rows: Sequence[Sampling]) -> torch.Tensor:
    """The lowest weight that each row keeps ([rows]): top-k, top-p of what that leaves, min-p.

    `weights` [rows, vocabulary] are probabilities after temperature, of any sum; a row's best token is always
    kept. Sources: top-k arXiv 1805.04833, top-p arXiv 1904.09751, min-p arXiv 2407.01082, as in transformers.
    """
    floors = torch.zeros_like(weights[:, 0])
    by_count = [i for i, row in enumerate(rows) if 0 < row.top_k < weights.shape[-1]]
    if by_count:
        places = on_device(by_count, weights.device)
        floors[places] = _top_k_floors(weights[places], [rows[i].top_k for i in by_count])
    by_mass = [i for i, row in enumerate(rows) if row.top_p < 1.0]
    if by_mass:
        places = on_device(by_mass, weights.device)
        left, so_far = weights[places], floors[places]
        masses = on_device([rows[i].top_p for i in by_mass], weights.device, torch.float32)
        masses = masses * (left * (left >= so_far[:, None])).sum(dim=-1)
        floors[places] = torch.maximum(so_far, _top_p_floors(left, masses))
    by_ratio = [i for i, row in enumerate(rows) if row.min_p > 0.0]
    if by_ratio:
        places = on_device(by_ratio, weights.device)
        ratios = on_device([min(rows[i].min_p, 1.0) for i in by_ratio], weights.device, torch.float32)
        floors[places] = torch.maximum(floors[places], weights[places].amax(dim=-1) * ratios)
    return floors


def _top_k_floors(weights: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    best = weights.topk(max(counts), dim=-1).values
    last = on_device(counts, weights.device) - 1
    return best.gather(1, last[:, None]).squeeze(1)


def _top_p_floors(weights: torch.Tensor, masses: torch.Tensor) -> torch.Tensor:
    """The weight of the last token of each row's nucleus; sorts whole rows only where it must."""
    best = weights.topk(min(_NUCLEUS_CANDIDATES, weights.shape[-1]), dim=-1).values
    floors, reached = _nucleus(best, masses)
    if best.shape[-1] < weights.shape[-1]:
        wide = (~reached).nonzero().squeeze(1)
        if len(wide):
            ordered = weights[wide].sort(dim=-1, descending=True).values
            floors[wide] = _nucleus(ordered, masses[wide])[0]
    return floors


def _nucleus(best: torch.Tensor, masses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The lowest weight in each row's nucleus and whether `best` (descending) reached its mass.

    The nucleus is every token before which less than the mass has been collected.
    """
    inside = (best.cumsum(dim=-1) < masses[:, None]).sum(dim=-1)
    last = inside.clamp(max=best.shape[-1] - 1)
    return best.gather(1, last[:, None]).squeeze(1), inside < best.shape[-1]
