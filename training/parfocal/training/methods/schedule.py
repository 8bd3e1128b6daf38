"""How long a run is and what its learning rate does after the warm-up. Knows no torch.

By default a run of a given length falls from the warm-up on. An open one stays at the full rate until the
held-out loss has stopped falling, and falls then (warm-up, stable, decay: Hägele et al., arXiv:2405.18392),
so that its length need not be known beforehand.
"""

import math
from collections.abc import Iterable

from parfocal.training.hyperparameters import Hyperparameters

_PATIENCE = 2  # evaluations, once nothing is left to learn
_NOTHING_LEFT = 0.02  # nats per token: such a loss is no plateau
_FALL = 0.02  # a smaller fraction of the loss does not count as falling
_LEAST_FALL = 0.003  # nor do fewer nats per token
_STILL = 0.05  # a last look that lowered the loss by more had not come to rest
_DECAY_PART = 0.2  # of the steps taken so far


class Schedule:
    """The course of one run, informed of every evaluation. `end` is its last step as far as known."""

    def __init__(self, hyperparameters: Hyperparameters) -> None:
        self._warmup = hyperparameters.warmup_steps
        self._bound = hyperparameters.steps
        self._open = hyperparameters.until_rest
        self._earliest = hyperparameters.planned_steps // 2
        self._patience = hyperparameters.patience
        self._kind = hyperparameters.schedule
        self._decay_from = hyperparameters.warmup_steps
        if self._kind == "wsd":
            self._decay_from = min(self._bound - 1, round(self._bound / (1 + _DECAY_PART)))
        self.end = self._bound
        self._rested = False
        self._losses: list[float] = []
        self._waited = 0
        self._lowest = float("inf")

    @property
    def still_falling(self) -> bool:
        """Whether the held-out loss had not come to rest when the run ended."""
        if self._open:
            return not self._rested and self._waited < _PATIENCE
        return len(self._losses) > 1 and _fell(self._losses[-2], self._losses[-1], _STILL)

    def factor(self, step: int) -> float:
        """The fraction of the full learning rate for the step after `step`."""
        if step < self._warmup:
            return step / max(1, self._warmup)
        if self._kind == "constant" or step <= self._decay_from:
            return 1.0
        left = max(0.0, (self.end - step) / max(1, self.end - self._decay_from))
        return 0.5 - 0.5 * math.cos(math.pi * left) if self._kind == "cosine" else left

    def looked(self, step: int, loss: float) -> None:
        """Records the held-out loss after `step`; once it rests, an open run's decay begins, or it ends."""
        self._losses.append(loss)
        if _fell(self._lowest, loss, _FALL):
            self._lowest, self._waited = loss, 0
        else:
            self._waited += 1
        last = self._decay_from if self._kind == "wsd" else self._bound
        waiting = self._open and not self._rested and step < last
        patience = min(_PATIENCE, self._patience) if self._lowest < _NOTHING_LEFT else self._patience
        if waiting and self._waited >= patience and step >= self._earliest:
            self._rested = True
            self.end = step
            if self._kind == "wsd":
                self._decay_from = step
                self.end = min(self._bound, step + max(1, round(_DECAY_PART * step)))

    def replay(self, looks: Iterable[tuple[int, float]]) -> None:
        """Replays the evaluations of the interrupted part of the run."""
        for step, loss in looks:
            self.looked(step, loss)


def _fell(before: float, now: float, part: float) -> bool:
    return before - now > max(part * min(before, 1e9), _LEAST_FALL)
