"""Scores a model on held-out rows."""

from parfocal.training.evaluation.exact_match import exact_match
from parfocal.training.evaluation.held_out import HeldOut, Score, padded
from parfocal.training.evaluation.loss import answer_logits

__all__ = [
    "HeldOut",
    "Score",
    "answer_logits",
    "exact_match",
    "padded",
]
