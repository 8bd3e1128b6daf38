"""How well a model tells better answers from worse ones, row by row. Trains nothing."""

import math
from collections.abc import Sequence
from typing import Any

from parfocal.training.data import Judged, Pair, Sample
from parfocal.training.methods.method import RowMarks
from parfocal.training.methods.preferences.log_probs import score_answers


class PairMeasure:
    """By how many nats the preferred answer is likelier than the other (`margin`), and how often it is.

    `loss` is DPO's with the base as reference, so it is ln 2 for the base itself.
    """

    relative = True

    def __init__(self, pairs: Sequence[Pair], batch_size: int, pad_id: int, beta: float) -> None:
        self.examples = len(pairs)
        self._pairs = pairs
        self._batch_size = batch_size
        self._pad_id = pad_id
        self._beta = beta
        self._base: list[float] | None = None

    def refer(self, model: Any) -> RowMarks:
        """Marks the base."""
        self._base = self._margins(model)
        return self._marks(self._base)

    def score(self, model: Any) -> RowMarks:
        """Marks `model` against the base."""
        return self._marks(self._margins(model))

    def _margins(self, model: Any) -> list[float]:
        chosen = self._scored(model, [pair.chosen for pair in self._pairs])
        rejected = self._scored(model, [pair.rejected for pair in self._pairs])
        return [better - worse for better, worse in zip(chosen, rejected, strict=True)]

    def _scored(self, model: Any, samples: Sequence[Sample]) -> list[float]:
        return score_answers(model, samples, self._batch_size, self._pad_id)

    def _marks(self, margins: list[float]) -> RowMarks:
        base = self._base
        if base is None:
            raise RuntimeError("the base is marked first")
        losses = [softplus(-self._beta * (now - then)) for now, then in zip(margins, base, strict=True)]
        right = tuple(float(margin > 0) for margin in margins)
        return RowMarks(sum(losses) / len(losses), {"margin": tuple(margins), "preference_accuracy": right})


class JudgedMeasure:
    """How much likelier desirable answers are than undesirable ones, and how often.

    `margin` is the difference of the mean log-probabilities in nats. `preference_accuracy` is how often a
    desirable answer is likelier per token than an undesirable one (the area under the ROC curve). `loss` is
    KTO's with the base as reference and no KL, so it is 0.5 for the base itself.
    """

    relative = True

    def __init__(self, rows: Sequence[Judged], batch_size: int, pad_id: int, beta: float) -> None:
        self.examples = len(rows)
        self._answers = [row.answer for row in rows]
        self._signs = [1.0 if row.desirable else -1.0 for row in rows]
        self._batch_size = batch_size
        self._pad_id = pad_id
        self._beta = beta
        self._base: list[float] | None = None

    def refer(self, model: Any) -> RowMarks:
        """Marks the base."""
        self._base = self._scored(model)
        return self._marks(self._base)

    def score(self, model: Any) -> RowMarks:
        """Marks `model` against the base."""
        return self._marks(self._scored(model))

    def _scored(self, model: Any) -> list[float]:
        return score_answers(model, self._answers, self._batch_size, self._pad_id)

    def _marks(self, scores: list[float]) -> RowMarks:
        base = self._base
        if base is None:
            raise RuntimeError("the base is marked first")
        rows = list(zip(self._signs, scores, base, strict=True))
        losses = [1 / (1 + math.exp(self._beta * sign * (now - then))) for sign, now, then in rows]
        counts = {sign: max(1, self._signs.count(sign)) for sign in (1.0, -1.0)}
        margins = tuple(sign * now * len(rows) / counts[sign] for sign, now, _ in rows)
        likely = [score / max(1, answer.learnt) for score, answer in zip(scores, self._answers, strict=True)]
        merits = {"margin": margins, "preference_accuracy": placements(self._signs, likely)}
        return RowMarks(sum(losses) / len(losses), merits)


def placements(signs: Sequence[float], values: Sequence[float]) -> tuple[float, ...]:
    """For each row the share of the other kind that it is on the right side of; the mean is the AUC.

    A row of which no other kind is there counts as half right.
    """
    found = []
    for sign, value in zip(signs, values, strict=True):
        others = [other for mark, other in zip(signs, values, strict=True) if mark != sign]
        right = sum((sign * (value - other) > 0) + 0.5 * (value == other) for other in others)
        found.append(right / len(others) if others else 0.5)
    return tuple(found)


def softplus(value: float) -> float:
    """ln(1 + e^value), for any value."""
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))
