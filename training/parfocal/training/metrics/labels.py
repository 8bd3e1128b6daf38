"""Answers that are one of a few labels: accuracy and macro F1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parfocal.training.intervals import Measure, Weights
from parfocal.training.metrics.answers import Answer, Scores


@dataclass(frozen=True, slots=True)
class Labels:
    """Compares labels whatever their case and outer spaces. The labels are those of the true answers."""

    leading: str = "label_accuracy"

    def scores(self, answers: Sequence[Answer]) -> Scores:
        """Accuracy, and the mean over labels of each label's F1 (macro F1)."""
        true = [label(answer.true) for answer in answers]
        written = [label(answer.written) for answer in answers]
        right = [float(mine == theirs) for mine, theirs in zip(written, true, strict=True)]
        return Scores({self.leading: right}, {"label_f1": macro_f1(true, written)})


def label(text: str) -> str:
    """A label as it is compared.

    >>> label("  Billing\\n")
    'billing'
    """
    return " ".join(text.split()).casefold()


def macro_f1(true: Sequence[str], written: Sequence[str]) -> Measure:
    """The mean of F1 over the labels in `true`, of weighted answers; a label of no weight is left out."""
    names = {name: at for at, name in enumerate(dict.fromkeys(true))}
    of_true = np.array([names[name] for name in true])
    of_written = np.array([names.get(name, len(names)) for name in written])
    right = of_true == of_written

    def measure(weights: Weights) -> float:
        size = len(names) + 1
        hits = np.bincount(of_true, weights=weights * right, minlength=size)[:-1]
        actual = np.bincount(of_true, weights=weights, minlength=size)[:-1]
        claimed = np.bincount(of_written, weights=weights, minlength=size)[:-1]
        seen = actual > 0
        return float(np.mean(2 * hits[seen] / (actual[seen] + claimed[seen])))

    return measure
