"""Samples one step's tokens from logits, for any mix of settings in one pass. Knows rows, not requests."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from parfocal.engine.errors import ConstraintFailed
from parfocal.engine.request import Sampling, TokenLogprob
from parfocal.engine.sampling.allowed_tokens import (
    NONE_HELD,
    Allowed,
    allowed_by,
    allowed_ids,
    keep_allowed,
)
from parfocal.engine.sampling.logit_rules import add_bias, ban, lowest_kept, penalise
from parfocal.engine.sampling.philox import uniforms
from parfocal.engine.scheduling import SampledToken, SamplingRow

_FAILED = -1
_NO_ROWS: frozenset[int] = frozenset()


class Sampler:
    """Draws tokens; stateless.

    Order: bias, penalties, bans, constraints, temperature, top-k, top-p, min-p, draw: that of transformers
    and vLLM. A row's token depends only on that row: not on the others, nor on its place among them. The last
    bits of its sums may: torch cuts a sum by the number of rows, and vectors by where a row begins. With
    `row_by_row` each row that is more than greedy is drawn by itself, and not even they do.
    """

    def __init__(self, *, row_by_row: bool = False) -> None:
        self._row_by_row = row_by_row

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
        peaks, best = _highest(logits)
        failed = ~peaks.isfinite()
        chosen = best.masked_fill(failed, _FAILED)
        plain, allowed = _NO_ROWS, NONE_HELD
        if any(row.constraint is not None for row in rows):
            plain = _held_alone(logits, rows)
            likeliest = chosen.tolist() if plain else []
            settled = {i for i in plain if _is_settled(rows[i], likeliest[i])}
            allowed = allowed_by([None if i in settled else row.constraint for i, row in enumerate(rows)])
            _choose_among(logits, rows, chosen, {i: allowed.bits[i] for i in plain if i in allowed.bits})
        changed = [i for i, row in enumerate(rows) if i not in plain and _is_changed(row)]
        if changed:
            places = torch.tensor(changed, device=logits.device)
            drawn = torch.cat(
                [
                    _choose(
                        logits.index_select(0, places[group]).float(),
                        [rows[i] for i in changed[group]],
                        [allowed.bits.get(i) for i in changed[group]],
                    )
                    for group in self._together(len(changed))
                ]
            )
            chosen[places] = drawn.masked_fill(failed[places], _FAILED)
        meanwhile()
        token_ids: list[int] = chosen.tolist()
        for i in allowed.failed:
            token_ids[i] = _FAILED
        asking = [i for i, row in enumerate(rows) if row.wants_logprobs and token_ids[i] != _FAILED]
        logprobs: dict[int, TokenLogprob] = {}
        for group in self._together(len(asking)):
            logprobs |= _logprobs(logits, rows, token_ids, asking[group])
        return [
            SampledToken(token_id, logprobs.get(i))
            if token_id != _FAILED
            else _failure(logits[i], i, allowed)
            for i, token_id in enumerate(token_ids)
        ]

    def _together(self, count: int) -> list[slice]:
        """Which of `count` rows share tensors."""
        most = 1 if self._row_by_row else count
        return [slice(first, first + most) for first in range(0, count, most)] if count else []


def _highest(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each row's highest logit and the first place that has it; NaN is the highest of all.

    On a CPU numpy finds it ten times faster than torch.
    """
    if logits.device.type != "cpu" or logits.dtype is not torch.float32:
        peaks, best = logits.max(dim=-1)
        return peaks, best
    best = torch.from_numpy(logits.numpy().argmax(axis=-1))
    return logits.gather(1, best[:, None]).squeeze(1), best


def _held_alone(logits: torch.Tensor, rows: Sequence[SamplingRow]) -> frozenset[int]:
    """The rows that draw from their own logits, as they are, among what their constraint allows.

    On a CPU, where the logits are at hand, each is drawn by itself and from those tokens only: most often
    they are few, and the rest of the vocabulary costs nothing.
    """
    if logits.device.type != "cpu" or logits.dtype is not torch.float32:
        return frozenset()
    return frozenset(
        i
        for i, row in enumerate(rows)
        if row.constraint is not None and not row.penalised and row.bias is None
    )


def _is_settled(row: SamplingRow, best: int) -> bool:
    """Whether no more need be known of what is allowed: a greedy row may take its likeliest token of all.

    Under an adapter that has learnt what its constraint asks for, it nearly always may. A broken row has no
    token and is settled, too.
    """
    if best == _FAILED or row.constraint is None:
        return True
    return row.greedy and best not in row.banned_ids and row.constraint.allows(best)


def _choose_among(
    logits: torch.Tensor, rows: Sequence[SamplingRow], chosen: torch.Tensor, bits: Mapping[int, bytes]
) -> None:
    """Chooses, in place, a token for each of these rows among those that have their bit, or none."""
    numbers = iter(_numbers([rows[i] for i in bits if not rows[i].greedy]))
    for i, each in bits.items():
        row, number = rows[i], None if rows[i].greedy else next(numbers)
        ids = allowed_ids(each, row.banned_ids, logits.shape[-1])
        scores = logits[i].numpy()[ids]
        place = int(scores.argmax()) if len(ids) else 0
        if not len(ids) or scores[place] == -np.inf:
            chosen[i] = _FAILED
            continue
        if number is not None:
            place = _drawn(scores - scores[place], row.sampling, number)
        chosen[i] = int(ids[place])


def _is_changed(row: SamplingRow) -> bool:
    """Whether a row may draw another token than the likeliest."""
    is_bent = row.penalised or bool(row.banned_ids) or row.bias is not None
    return is_bent or not row.greedy or row.constraint is not None


def _choose(
    scores: torch.Tensor, rows: Sequence[SamplingRow], allowed: Sequence[bytes | None]
) -> torch.Tensor:
    """The token of each row ([rows]), or -1 where nothing may be drawn; overwrites `scores`."""
    add_bias(scores, [row.bias for row in rows])
    seen = [(row.sampling, row.prompt_ids, row.output_ids) if row.penalised else None for row in rows]
    penalise(scores, seen)
    ban(scores, [row.banned_ids for row in rows])
    keep_allowed(scores, allowed)
    peaks, chosen = scores.max(dim=-1)
    drawing = [i for i, row in enumerate(rows) if not row.greedy]
    if drawing:
        places = torch.tensor(drawing, device=scores.device)
        drawn_scores = scores.index_select(0, places) - peaks[places, None]
        drawn = [rows[i] for i in drawing]
        chosen[places] = _draw(drawn_scores, [row.sampling for row in drawn], _numbers(drawn))
    return chosen.masked_fill(~peaks.isfinite(), _FAILED)


def _drawn(scores: npt.NDArray[np.float32], sampling: Sampling, number: np.float64) -> int:
    """What `_draw` finds in one row; most often without torch, whose calls take longer than a few tokens."""
    if sampling.top_k > 0 or sampling.top_p < 1.0 or sampling.min_p > 0.0:
        return int(_draw(torch.from_numpy(scores)[None], [sampling], np.array([number])))
    with np.errstate(over="ignore", under="ignore"):  # at the lowest temperatures
        weights = np.exp(scores / np.float32(sampling.temperature))
    sums = weights.cumsum(dtype=np.float64)
    return min(int(sums.searchsorted(number * sums[-1])), len(sums) - 1)


def _numbers(rows: Sequence[SamplingRow]) -> npt.NDArray[np.float64]:
    """Each row's random number."""
    return uniforms([row.draw_seed for row in rows], [row.position for row in rows])


def _draw(
    scores: torch.Tensor, samplings: Sequence[Sampling], numbers: npt.NDArray[np.float64]
) -> torch.Tensor:
    """A place for each number in its row of `scores`, whose highest is 0 so that no temperature overflows.

    Overwrites `scores`.
    """
    temperatures = torch.tensor([one.temperature for one in samplings], device=scores.device)
    scores.div_(temperatures[:, None])
    weights = scores.exp_()
    if any(one.top_k > 0 or one.top_p < 1.0 or one.min_p > 0.0 for one in samplings):
        weights.mul_(weights >= lowest_kept(weights, samplings)[:, None])
    # Sums over a vocabulary need double precision; Metal has none.
    wide = torch.float32 if weights.device.type == "mps" else torch.float64
    sums = weights.cumsum(dim=-1, dtype=wide)
    # In (0, total]: the first sum that reaches it belongs to a token whose probability is not zero.
    targets = torch.from_numpy(numbers).to(device=weights.device, dtype=wide)[:, None] * sums[:, -1:]
    # A broken row's sums are NaN and put the draw past the end; the caller marks the row as failed.
    return torch.searchsorted(sums, targets).squeeze(-1).clamp_(max=weights.shape[-1] - 1)


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


def _failure(logits: torch.Tensor, row: int, allowed: Allowed) -> SampledToken:
    """A row's failure ([vocabulary]), which says what is wrong with it."""
    if row in allowed.failed:
        return SampledToken(_FAILED, error=str(allowed.failed[row]), refusal=allowed.failed[row])
    for name, broken in (("NaN", logits.isnan()), ("+inf", logits.isposinf())):
        if count := int(broken.sum()):
            return SampledToken(_FAILED, error=f"{count} of {logits.numel()} logits are {name}")
    if row in allowed.bits:
        refusal = ConstraintFailed(
            "no token that the constraint allows may be drawn: the others are banned or have no probability; "
            "ask for fewer bans or another constraint"
        )
        return SampledToken(_FAILED, error=str(refusal), refusal=refusal)
    return SampledToken(_FAILED, error=f"all {logits.numel()} logits are -inf after penalties and bans")
