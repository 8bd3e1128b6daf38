"""Task metrics: how good a written answer is beside the true one. Knows no model. No torch."""

from parfocal.training.metrics.answers import Answer, Metric, Scores
from parfocal.training.metrics.judge import Judge
from parfocal.training.metrics.naming import METRICS, metric_named
from parfocal.training.metrics.text_overlap import rouge_l, rouge_n

__all__ = [
    "METRICS",
    "Answer",
    "Judge",
    "Metric",
    "Scores",
    "metric_named",
    "rouge_l",
    "rouge_n",
]
