"""Training: from a JSONL file to an adapter that is measured against its base and published.

Knows the registry only by its interface and the engine only by its way of loading a base. Heavy imports
(torch, transformers) wait until the data has been accepted.
"""

from .config import TrainConfig
from .errors import (
    BaseUnfit,
    DataRefused,
    DataUnreadable,
    Diverged,
    GradientsLost,
    Interrupted,
    InvalidConfig,
    NothingToResume,
    ParentMismatch,
    ResumeMismatch,
    RunExists,
    TrainingError,
)
from .findings import Finding, Report, Severity
from .prepare import Prepared
from .progress import BarWatcher, PlainWatcher, SilentWatcher, StepDone, Watcher
from .recipe import Choice, Recipe
from .result import Figures, TrainResult
from .run import check, resume, train
from .run_folder import latest_unfinished

__all__ = [
    "BarWatcher",
    "BaseUnfit",
    "Choice",
    "DataRefused",
    "DataUnreadable",
    "Diverged",
    "Figures",
    "Finding",
    "GradientsLost",
    "Interrupted",
    "InvalidConfig",
    "NothingToResume",
    "ParentMismatch",
    "PlainWatcher",
    "Prepared",
    "Recipe",
    "Report",
    "ResumeMismatch",
    "RunExists",
    "Severity",
    "SilentWatcher",
    "StepDone",
    "TrainConfig",
    "TrainResult",
    "TrainingError",
    "Watcher",
    "check",
    "latest_unfinished",
    "resume",
    "train",
]
