"""Scores models on held-out rows: while training on the model in training, at its end as they are served."""

from parfocal.training.evaluation.asking import scoring
from parfocal.training.evaluation.continuing import probes_beside
from parfocal.training.evaluation.evaluating import (
    Questions,
    Result,
    evaluate,
    own_metrics,
    pairs_of,
    probe_figures_of,
)
from parfocal.training.evaluation.held_out import HeldOut, Score, padded
from parfocal.training.evaluation.loss import answer_logits
from parfocal.training.evaluation.measuring import (
    ArmRows,
    Batch,
    ProbeAnswers,
    add_probes,
    add_rows,
    add_writing,
)
from parfocal.training.evaluation.served_base import Room, ServedBase, peft_adapter

__all__ = [
    "ArmRows",
    "Batch",
    "HeldOut",
    "ProbeAnswers",
    "Questions",
    "Result",
    "Room",
    "Score",
    "ServedBase",
    "add_probes",
    "add_rows",
    "add_writing",
    "answer_logits",
    "evaluate",
    "own_metrics",
    "padded",
    "pairs_of",
    "peft_adapter",
    "probe_figures_of",
    "probes_beside",
    "scoring",
]
