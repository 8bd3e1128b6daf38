"""Samples one step's tokens from logits, for any mix of settings in one pass. Knows rows, not requests."""

from collections.abc import Callable, Sequence

import torch

from parfocal.engine.sampling.bends import Bends, PlainBends
from parfocal.engine.sampling.drawn import AskedLogprobs, Drawn, OnHost
from parfocal.engine.sampling.draws import Draws, PlainDraws, numbers
from parfocal.engine.sampling.held_rows import NONE_HELD, HeldRows
from parfocal.engine.sampling.likeliest import Likeliest, PlainLikeliest
from parfocal.engine.scheduling import SampledToken, SamplingRow


class Sampler:
    """Draws tokens. Keeps nothing of a step but lists of allowed tokens, which spare others the work.

    Order: bias, penalties, bans, constraints, temperature, top-k, top-p, min-p, draw: that of transformers
    and vLLM. A row's token depends only on that row: not on the others, nor on its place among them. The last
    bits of its sums may: torch cuts a sum by the number of rows, and vectors by where a row begins. With
    `row_by_row` each row that is more than greedy is drawn by itself, and not even they do.
    """

    def __init__(
        self,
        *,
        row_by_row: bool = False,
        likeliest: Likeliest | None = None,
        draws: Draws | None = None,
        bends: Bends | None = None,
    ) -> None:
        self._row_by_row = row_by_row
        self._likeliest = likeliest or PlainLikeliest()
        self._draws = draws or PlainDraws()
        self._bends = bends or PlainBends(self._likeliest)
        self._held_rows = HeldRows(self._likeliest)

    def sample(
        self,
        logits: torch.Tensor,
        rows: Sequence[SamplingRow],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[SampledToken]:
        """One token per row of `logits` ([rows, vocabulary], any float type, left unchanged).

        Calls `meanwhile` once all work is queued, before it waits for the device, which it does once.

        A row that holds NaN or +inf, or that has no token left to draw, comes back with an error; the other
        rows are not affected. Log-probabilities are of the raw logits, before bias, penalties, constraints
        and temperature.
        """
        if not rows:
            return []
        drawn = self.queue(logits, rows)
        meanwhile()
        return drawn.tokens()

    def queue(self, logits: torch.Tensor, rows: Sequence[SamplingRow]) -> Drawn:
        """As `sample`, of at least one row, without waiting: all work is queued, that of the copies too."""
        chosen = self._likeliest.of_all(logits)
        held = NONE_HELD
        if any(row.constraint is not None for row in rows):
            held = self._held_rows.choose(logits, rows, chosen)
        left = [i for i in range(len(rows)) if i not in held.alone]
        bent = [i for i in left if _is_bent(rows[i])]
        if bent:
            asked_of, bits = [rows[i] for i in bent], [held.bits.get(i) for i in bent]
            scores = self._bends.bend(logits, bent, asked_of, bits, chosen)
            self._draw(scores, rows, list(enumerate(bent)), chosen)
        self._draw(logits, rows, [(i, i) for i in left if not _is_bent(rows[i])], chosen)
        asking = [i for i, row in enumerate(rows) if row.wants_logprobs]
        asked = [
            AskedLogprobs.of(logits, rows, asking[group], chosen) for group in self._together(len(asking))
        ]
        fetched = OnHost([chosen, *(each for group in asked for each in group[1:])])
        return Drawn(logits, rows, chosen, held, asked, fetched)

    def _draw(
        self,
        scores: torch.Tensor,
        rows: Sequence[SamplingRow],
        pairs: Sequence[tuple[int, int]],
        chosen: torch.Tensor,
    ) -> None:
        """Draws for those rows that are not greedy, in place; `chosen` are the likeliest tokens.

        `pairs` are places of rows in `scores`, and in `rows` and `chosen`.
        """
        drawing = [pair for pair in pairs if not rows[pair[1]].greedy]
        for group in self._together(len(drawing)):
            drawn = [rows[i] for _, i in drawing[group]]
            samplings = [row.sampling for row in drawn]
            self._draws.draw(scores, drawing[group], samplings, numbers(drawn), chosen)

    def _together(self, count: int) -> list[slice]:
        """Which of `count` rows share tensors."""
        most = 1 if self._row_by_row else count
        return [slice(first, first + most) for first in range(0, count, most)] if count else []


def _is_bent(row: SamplingRow) -> bool:
    """Whether a row's token is not chosen from its logits as they are."""
    return row.penalised or bool(row.banned_ids) or row.bias is not None or row.constraint is not None
