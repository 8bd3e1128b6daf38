"""A forward pass for libraries that cut their sums by the batch: every token is a batch of its own."""

from collections.abc import Callable
from dataclasses import replace

import torch

from parfocal.engine.model.forward import Forward
from parfocal.engine.scheduling import LaidRow


class TokenByToken:
    """Computes every token of a step by itself.

    Each product has one row and each attention the token's own blocks, so that a logit's bits depend on
    nothing but the tokens before it: not on other rows, nor on how a prompt was cut or what was cached. The
    price is that nothing is shared between rows, not even the reading of a weight.
    """

    def __init__(self, forward: Forward, block_tokens: int) -> None:
        self._forward = forward
        self._block_tokens = block_tokens

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """The logits `[places, vocabulary]` of the batch's places `last`, as float32."""
        return self._one_by_one(self._forward.logits, laid, last or [0])

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        """The hidden states `[places, hidden]` of the batch's `places` after the final norm."""
        return self._one_by_one(self._forward.states, laid, places)

    def head(self, states: torch.Tensor) -> torch.Tensor:
        """The logits `[places, vocabulary]` of `states` `[places, hidden]`, as float32."""
        return torch.cat([self._forward.head(state).clone() for state in states.split(1)])

    def _one_by_one(
        self,
        run: Callable[[list[LaidRow], list[int]], torch.Tensor],
        laid: list[LaidRow],
        places: list[int],
    ) -> torch.Tensor:
        kept = set(places)
        found: dict[int, torch.Tensor] = {}
        for item in laid:
            for place in range(item.start, item.end):
                # Copied: a forward pass may return the same memory each time.
                answer = run([self._alone(item, place)], [0])
                if place in kept:
                    found[place] = answer.clone()
        return torch.cat([found[place] for place in places])

    def _alone(self, item: LaidRow, place: int) -> LaidRow:
        """One token of a row as a batch of its own, with no block beyond those it sees."""
        number = place - item.start
        at = item.row.start + number
        row = replace(
            item.row,
            token_ids=(item.row.token_ids[number],),
            start=at,
            blocks=item.row.blocks[: at // self._block_tokens + 1],
        )
        return LaidRow(row, item.order, 0, 1)
