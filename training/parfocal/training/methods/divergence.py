"""Tells a run that has diverged: its loss is no number, or far above the base's. Knows no torch."""

import math

from parfocal.training.errors import Diverged

_REPORTS = 3  # in a row: one batch may be hard
_TIMES = 2.0
_NATS = 2.0


class Divergence:
    """Judges the losses of one run. `base` is the base's loss on the watched rows, once it is known.

    A loss counts as far above from twice the base's and 2 nats more: adapters that learn hardly ever rise
    above the base at all, and one that has diverged predicts about as well as chance.
    """

    def __init__(self) -> None:
        self.base: float | None = None
        self._far = 0

    def learnt(self, loss: float, step: int) -> None:
        """Judges a training loss; raises Diverged."""
        _check_finite(loss, step)
        self._far = self._far + 1 if self._is_far(loss) else 0
        if self._far >= _REPORTS:
            raise self._diverged(loss, step)

    def scored(self, loss: float, step: int) -> None:
        """Judges the loss of all watched rows, of which one that is far above is enough; raises Diverged."""
        _check_finite(loss, step)
        if self._is_far(loss):
            raise self._diverged(loss, step)

    def _is_far(self, loss: float) -> bool:
        return self.base is not None and loss > _TIMES * abs(self.base) + _NATS

    def _diverged(self, loss: float, step: int) -> Diverged:
        return Diverged(
            f"the loss is {loss:.3g} at step {step}, far above the base's {self.base:.3g}; lower the "
            "learning rate and start again",
            step=step,
        )


def _check_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise Diverged(
            f"the loss is {loss} at step {step}; lower the learning rate and start again", step=step
        )
