"""Asks constraints what may follow, and chooses for rows whose logits are at hand, on a CPU.

These choose among their allowed tokens alone, without torch: most often these are few, and the rest of the
vocabulary costs nothing. One call of torch takes longer than all that numpy does for a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from parfocal.engine.constraints import ConstraintState
from parfocal.engine.errors import ConstraintFailed
from parfocal.engine.request import Sampling
from parfocal.engine.sampling.allowed_tokens import AllowedIds, without
from parfocal.engine.sampling.draws import COLDEST, draw, numbers
from parfocal.engine.sampling.likeliest import NO_TOKEN, Likeliest
from parfocal.engine.scheduling import SamplingRow


@dataclass(frozen=True, slots=True)
class Held:
    """What was found out of rows with constraints.

    A token has been chosen for the rows `alone`, unless they `failed`. The others have their `bits`, which
    are those of `ConstraintState.allowed`.
    """

    alone: set[int] = field(default_factory=set)
    bits: dict[int, bytes] = field(default_factory=dict)
    failed: dict[int, ConstraintFailed] = field(default_factory=dict)


# Where no row has a constraint.
NONE_HELD = Held()


class HeldRows:
    """Chooses for rows with constraints. Keeps nothing of a step but lists of allowed tokens."""

    def __init__(self, likeliest: Likeliest) -> None:
        self._likeliest = likeliest
        self._lists = AllowedIds()

    def choose(self, logits: torch.Tensor, rows: Sequence[SamplingRow], chosen: torch.Tensor) -> Held:
        """Asks all constraints, and chooses for rows that draw from their own logits as they are.

        `chosen` are the likeliest tokens of all; those of held rows are replaced in place. A greedy row that
        may take its own asks no further: under an adapter that has learnt what its constraint asks for, that
        is nearly always so. A broken row has no token and is not asked.
        """
        is_at_hand = logits.device.type == "cpu" and logits.dtype is torch.float32
        likeliest: list[int] = chosen.tolist() if is_at_hand else []
        held = Held()
        greedy: dict[int, bytes] = {}
        drawing: dict[int, bytes] = {}
        for i, row in enumerate(rows):
            constraint = row.constraint
            if constraint is None:
                continue
            if not is_at_hand or row.bias is not None or row.penalised:
                _ask(constraint, i, held)
                continue
            held.alone.add(i)
            best, is_greedy = likeliest[i], row.greedy
            if best == NO_TOKEN or (is_greedy and best not in row.banned_ids and constraint.allows(best)):
                continue
            if bits := _ask(constraint, i, held):
                (greedy if is_greedy else drawing)[i] = without(row.banned_ids, bits)
        if greedy:
            self._likeliest.of_allowed(logits, greedy, chosen)
        if drawing:
            self._draw(logits, rows, drawing, chosen)
        return held

    def _draw(
        self,
        logits: torch.Tensor,
        rows: Sequence[SamplingRow],
        allowed: Mapping[int, bytes],
        chosen: torch.Tensor,
    ) -> None:
        """Draws for the rows of `allowed`, in place; -1 where no token is possible."""
        scores, tokens = logits.numpy(), chosen.numpy()
        for i, chance in zip(allowed, numbers([rows[i] for i in allowed]), strict=True):
            ids = self._lists.of(allowed[i], scores.shape[-1])
            place = _drawn(scores[i].take(ids), rows[i].sampling, chance)
            tokens[i] = NO_TOKEN if place == NO_TOKEN else ids[place]


def _ask(constraint: ConstraintState, row: int, held: Held) -> bytes:
    """The tokens that may follow, which are noted for the row; none where the constraint has failed."""
    try:
        held.bits[row] = bits = constraint.allowed()
    except ConstraintFailed as failure:
        held.failed[row] = failure
        return b""
    return bits


def _drawn(scores: npt.NDArray[np.float32], sampling: Sampling, chance: np.float64) -> int:
    """The place that `chance` draws, as `draw` does in one row; -1 if none is possible.

    Most often without torch, whose calls take longer than a few tokens.
    """
    if not len(scores) or (peak := scores.max()) == -np.inf:
        return NO_TOKEN
    scores = scores - peak
    if sampling.top_k > 0 or sampling.top_p < 1.0 or sampling.min_p > 0.0:
        return int(draw(torch.from_numpy(scores)[None], [sampling], np.array([chance])))
    with np.errstate(over="ignore", under="ignore"):  # at the lowest temperatures
        weights = np.exp(scores / np.float32(max(sampling.temperature, COLDEST)))
    sums = weights.cumsum(dtype=np.float64)
    return min(int(sums.searchsorted(chance * sums[-1])), len(sums) - 1)
