"""The trials of a search: drawn and judged with optuna, kept in an SQLite file."""

from parfocal.training.search.trials.judging import JudgingWatcher, Pruned
from parfocal.training.search.trials.study import Running, Study

__all__ = ["JudgingWatcher", "Pruned", "Running", "Study"]
