"""A step's tokens and log-probabilities, on their way from the device that drew them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from parfocal.engine.errors import ConstraintFailed
from parfocal.engine.request import TokenLogprob
from parfocal.engine.sampling.held_rows import Held
from parfocal.engine.sampling.host_values import SHARING, on_device
from parfocal.engine.sampling.likeliest import NO_TOKEN
from parfocal.engine.scheduling import SampledToken, SamplingRow

_BROKEN = "its logits hold NaN or +inf, or no token has a probability"


class AskedLogprobs(NamedTuple):
    """Log-probabilities of the rows `asking`: of their tokens [asking], of the likeliest [asking, width]."""

    asking: Sequence[int]
    chosen: torch.Tensor
    ids: torch.Tensor
    values: torch.Tensor

    @classmethod
    def of(
        cls, logits: torch.Tensor, rows: Sequence[SamplingRow], asking: Sequence[int], chosen: torch.Tensor
    ) -> "AskedLogprobs":
        """Those of `logits` [rows, vocabulary], where the rows' tokens are `chosen` [rows]."""
        places = on_device(asking, logits.device)
        asked = logits.index_select(0, places).float().log_softmax(dim=-1)
        tokens = chosen.index_select(0, places).clamp(min=0)
        width = min(max(rows[i].top_logprobs for i in asking), logits.shape[-1])
        values, ids = asked.topk(width, dim=-1)
        return cls(asking, asked.gather(1, tokens[:, None]).squeeze(1), ids, values)


class OnHost:
    """Tensors on their way to host memory, behind what is queued now. `wait` waits for them alone."""

    def __init__(self, found: Sequence[torch.Tensor]) -> None:
        """Queues the copies of `found`, all on one device."""
        self._done: torch.cuda.Event | None = None
        if found[0].device.type in SHARING:
            self._here = list(found)
            return
        self._here = [torch.empty(one.shape, dtype=one.dtype, pin_memory=True) for one in found]
        for here, there in zip(self._here, found, strict=True):
            here.copy_(there, non_blocking=True)
        if found[0].device.type == "cuda":
            self._done = torch.cuda.Event()
            self._done.record()

    def wait(self) -> list[torch.Tensor]:
        """The tensors on the host; what was queued after them need not be done."""
        if self._done is not None:
            self._done.synchronize()
        return self._here


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What was drawn of `logits` [rows, vocabulary]; the device may still compute it.

    `chosen` [rows], int64, are the tokens on the device, -1 where a row has none; `fetched` brings them and
    the `asked` groups' log-probabilities to the host.
    """

    logits: torch.Tensor
    rows: Sequence[SamplingRow]
    chosen: torch.Tensor
    held: Held
    asked: Sequence[AskedLogprobs]
    fetched: OnHost

    def tokens(self, *, are_logits_there: bool = True) -> list[SampledToken]:
        """Waits for the tokens; what was queued later may go on.

        Unless the logits are still there, a row without a token is not told which of its logits was at fault.
        """
        chosen, *found = self.fetched.wait()
        token_ids: list[int] = chosen.tolist()
        for i in self.held.failed:
            token_ids[i] = NO_TOKEN
        logprobs: dict[int, TokenLogprob] = {}
        for number, group in enumerate(self.asked):
            logprobs |= self._logprobs(group.asking, found[3 * number : 3 * number + 3], token_ids)
        return [
            self._failure(i, are_logits_there) if token == NO_TOKEN else SampledToken(token, logprobs.get(i))
            for i, token in enumerate(token_ids)
        ]

    def _logprobs(
        self, asking: Sequence[int], found: Sequence[torch.Tensor], token_ids: Sequence[int]
    ) -> dict[int, TokenLogprob]:
        """The log-probabilities of a group's rows, by row."""
        chosen, ids, values = (each.tolist() for each in found)
        tops = [tuple(zip(*pair, strict=True)) for pair in zip(ids, values, strict=True)]
        return {
            i: TokenLogprob(token_ids[i], chosen[n], tops[n][: self.rows[i].top_logprobs])
            for n, i in enumerate(asking)
            if token_ids[i] != NO_TOKEN
        }

    def _failure(self, row: int, are_logits_there: bool) -> SampledToken:
        """A row's failure, which says what is wrong with it."""
        if row in self.held.failed:
            return SampledToken(NO_TOKEN, error=str(self.held.failed[row]), refusal=self.held.failed[row])
        if not are_logits_there:
            return SampledToken(NO_TOKEN, error=_BROKEN)
        logits = self.logits[row]
        for name, broken in (("NaN", logits.isnan()), ("+inf", logits.isposinf())):
            if count := int(broken.sum()):
                return SampledToken(NO_TOKEN, error=f"{count} of {logits.numel()} logits are {name}")
        if row in self.held.bits:
            refusal = ConstraintFailed(
                "no token that the constraint allows may be drawn: the others are banned or have no "
                "probability; ask for fewer bans or another constraint"
            )
            return SampledToken(NO_TOKEN, error=str(refusal), refusal=refusal)
        return SampledToken(NO_TOKEN, error=f"all {logits.numel()} logits are -inf after penalties and bans")
