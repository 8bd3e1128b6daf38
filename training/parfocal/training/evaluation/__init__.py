"""Scores models on held-out rows: while training on the model in training, at its end as they are served."""

from parfocal.training.evaluation.evaluating import Questions, Result, evaluate
from parfocal.training.evaluation.held_out import HeldOut, Score, padded
from parfocal.training.evaluation.loss import answer_logits
from parfocal.training.evaluation.measuring import ArmRows
from parfocal.training.evaluation.served_base import Room, ServedBase, peft_adapter

__all__ = [
    "ArmRows",
    "HeldOut",
    "Questions",
    "Result",
    "Room",
    "Score",
    "ServedBase",
    "answer_logits",
    "evaluate",
    "padded",
    "peft_adapter",
]
