"""Samples one step's tokens from logits, for any mix of settings in one pass. Knows rows, not requests."""

from collections.abc import Callable, Sequence

import torch

from parfocal.engine.errors import ConstraintFailed
from parfocal.engine.request import TokenLogprob
from parfocal.engine.sampling.allowed_tokens import keep_allowed
from parfocal.engine.sampling.draws import Draws, PlainDraws, numbers
from parfocal.engine.sampling.held_rows import NONE_HELD, Held, HeldRows
from parfocal.engine.sampling.host_values import on_device
from parfocal.engine.sampling.likeliest import NO_TOKEN, Likeliest, PlainLikeliest
from parfocal.engine.sampling.logit_rules import add_bias, ban, penalise
from parfocal.engine.scheduling import SampledToken, SamplingRow


class Sampler:
    """Draws tokens. Keeps nothing of a step but lists of allowed tokens, which spare others the work.

    Order: bias, penalties, bans, constraints, temperature, top-k, top-p, min-p, draw: that of transformers
    and vLLM. A row's token depends only on that row: not on the others, nor on its place among them. The last
    bits of its sums may: torch cuts a sum by the number of rows, and vectors by where a row begins. With
    `row_by_row` each row that is more than greedy is drawn by itself, and not even they do.
    """

    def __init__(
        self, *, row_by_row: bool = False, likeliest: Likeliest | None = None, draws: Draws | None = None
    ) -> None:
        self._row_by_row = row_by_row
        self._likeliest = likeliest or PlainLikeliest()
        self._draws = draws or PlainDraws()
        self._held_rows = HeldRows(self._likeliest)

    def sample(
        self,
        logits: torch.Tensor,
        rows: Sequence[SamplingRow],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[SampledToken]:
        """One token per row of `logits` ([rows, vocabulary], any float type, left unchanged).

        Calls `meanwhile` before it waits for the device: once, unless log-probabilities are asked for.

        A row that holds NaN or +inf, or that has no token left to draw, comes back with an error; the other
        rows are not affected. Log-probabilities are of the raw logits, before bias, penalties, constraints
        and temperature.
        """
        if not rows:
            return []
        chosen = self._likeliest.of_all(logits)
        held = NONE_HELD
        if any(row.constraint is not None for row in rows):
            held = self._held_rows.choose(logits, rows, chosen)
        left = [i for i in range(len(rows)) if i not in held.alone]
        bent = [i for i in left if _is_bent(rows[i])]
        if bent:
            places = on_device(bent, logits.device)
            found = torch.cat(
                [
                    self._choose(
                        logits.index_select(0, places[group]).float(),
                        [rows[i] for i in bent[group]],
                        [held.bits.get(i) for i in bent[group]],
                    )
                    for group in self._together(len(bent))
                ]
            )
            chosen[places] = found.masked_fill(chosen[places] == NO_TOKEN, NO_TOKEN)
        self._draw(logits, rows, [i for i in left if not _is_bent(rows[i])], chosen)
        meanwhile()
        token_ids: list[int] = chosen.tolist()
        for i in held.failed:
            token_ids[i] = NO_TOKEN
        asking = [i for i, row in enumerate(rows) if row.wants_logprobs and token_ids[i] != NO_TOKEN]
        logprobs: dict[int, TokenLogprob] = {}
        for group in self._together(len(asking)):
            logprobs |= _logprobs(logits, rows, token_ids, asking[group])
        return [
            SampledToken(token_id, logprobs.get(i)) if token_id != NO_TOKEN else _failure(logits[i], i, held)
            for i, token_id in enumerate(token_ids)
        ]

    def _choose(
        self, scores: torch.Tensor, rows: Sequence[SamplingRow], allowed: Sequence[bytes | None]
    ) -> torch.Tensor:
        """The token of each row ([rows]), or -1 where nothing may be drawn; overwrites `scores`."""
        add_bias(scores, [row.bias for row in rows])
        seen = [(row.sampling, row.prompt_ids, row.output_ids) if row.penalised else None for row in rows]
        penalise(scores, seen)
        ban(scores, [row.banned_ids for row in rows])
        keep_allowed(scores, allowed)
        chosen = self._likeliest.of_all(scores)
        self._draw(scores, rows, range(len(rows)), chosen)
        return chosen

    def _draw(
        self, logits: torch.Tensor, rows: Sequence[SamplingRow], places: Sequence[int], chosen: torch.Tensor
    ) -> None:
        """Draws for those of `places` that are not greedy, in place; `chosen` are the likeliest tokens."""
        drawing = [i for i in places if not rows[i].greedy]
        for group in self._together(len(drawing)):
            drawn = [rows[i] for i in drawing[group]]
            samplings = [row.sampling for row in drawn]
            self._draws.draw(logits, drawing[group], samplings, numbers(drawn), chosen)

    def _together(self, count: int) -> list[slice]:
        """Which of `count` rows share tensors."""
        most = 1 if self._row_by_row else count
        return [slice(first, first + most) for first in range(0, count, most)] if count else []


def _is_bent(row: SamplingRow) -> bool:
    """Whether a row's token is not chosen from its logits as they are."""
    return row.penalised or bool(row.banned_ids) or row.bias is not None or row.constraint is not None


def _logprobs(
    logits: torch.Tensor, rows: Sequence[SamplingRow], token_ids: Sequence[int], asking: Sequence[int]
) -> dict[int, TokenLogprob]:
    """The log-probabilities of the rows `asking`, by row."""
    places = torch.tensor(asking, device=logits.device)
    asked = logits.index_select(0, places).float().log_softmax(dim=-1)
    chosen = torch.tensor([token_ids[i] for i in asking], device=logits.device)
    width = min(max(rows[i].top_logprobs for i in asking), logits.shape[-1])
    values, ids = asked.topk(width, dim=-1)
    chosen_values = asked.gather(1, chosen[:, None]).squeeze(1).tolist()
    tops = [list(zip(*pair, strict=True)) for pair in zip(ids.tolist(), values.tolist(), strict=True)]
    return {
        i: TokenLogprob(token_ids[i], chosen_values[n], tuple(tops[n][: rows[i].top_logprobs]))
        for n, i in enumerate(asking)
    }


def _failure(logits: torch.Tensor, row: int, held: Held) -> SampledToken:
    """A row's failure ([vocabulary]), which says what is wrong with it."""
    if row in held.failed:
        return SampledToken(NO_TOKEN, error=str(held.failed[row]), refusal=held.failed[row])
    for name, broken in (("NaN", logits.isnan()), ("+inf", logits.isposinf())):
        if count := int(broken.sum()):
            return SampledToken(NO_TOKEN, error=f"{count} of {logits.numel()} logits are {name}")
    if row in held.bits:
        refusal = ConstraintFailed(
            "no token that the constraint allows may be drawn: the others are banned or have no probability; "
            "ask for fewer bans or another constraint"
        )
        return SampledToken(NO_TOKEN, error=str(refusal), refusal=refusal)
    return SampledToken(NO_TOKEN, error=f"all {logits.numel()} logits are -inf after penalties and bans")
