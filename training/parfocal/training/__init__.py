"""Training: from a JSONL file to a published adapter that is measured against its base.

Knows only the registry's interface and how the engine loads a base. Heavy imports (torch, transformers) wait
until the data has been accepted.
"""

from parfocal.training.config import TrainConfig
from parfocal.training.data import Prepared
from parfocal.training.errors import (
    BaseUnfit,
    DataRefused,
    DataUnreadable,
    DiskFull,
    Diverged,
    GradientsLost,
    Interrupted,
    InvalidConfig,
    NothingToPublish,
    NothingToResume,
    ParentMismatch,
    PeerLost,
    ResumeMismatch,
    RewardFailed,
    RunDamaged,
    RunExists,
    SearchFailed,
    TrainingError,
)
from parfocal.training.figures import lines as evaluation_lines
from parfocal.training.findings import Finding, Report, Severity
from parfocal.training.hyperparameters import Choice, Hyperparameters
from parfocal.training.planning import Estimate, Plan, estimate_lines, estimated
from parfocal.training.publishing import publish_run
from parfocal.training.reports import document, write_report
from parfocal.training.run import assist, check, plan, resume, train
from parfocal.training.runs import (
    Figures,
    Scored,
    SilentWatcher,
    StepDone,
    TrainResult,
    Watcher,
    latest_unfinished,
)
from parfocal.training.search import (
    Found,
    Outcome,
    SearchConfig,
    SearchResult,
    SearchWatcher,
    SilentSearchWatcher,
    Trial,
    search_config,
)
from parfocal.training.signing import SigningKey
from parfocal.training.tuning import resume_search, tune
from parfocal.training.versions import EvalConfig, Evaluation, evaluate_versions
from parfocal.training.watching import BarSearchWatcher, BarWatcher, PlainSearchWatcher, PlainWatcher

__all__ = [
    "BarSearchWatcher",
    "BarWatcher",
    "BaseUnfit",
    "Choice",
    "DataRefused",
    "DataUnreadable",
    "DiskFull",
    "Diverged",
    "Estimate",
    "EvalConfig",
    "Evaluation",
    "Figures",
    "Finding",
    "Found",
    "GradientsLost",
    "Hyperparameters",
    "Interrupted",
    "InvalidConfig",
    "NothingToPublish",
    "NothingToResume",
    "Outcome",
    "ParentMismatch",
    "PeerLost",
    "PlainSearchWatcher",
    "PlainWatcher",
    "Plan",
    "Prepared",
    "Report",
    "ResumeMismatch",
    "RewardFailed",
    "RunDamaged",
    "RunExists",
    "Scored",
    "SearchConfig",
    "SearchFailed",
    "SearchResult",
    "SearchWatcher",
    "Severity",
    "SigningKey",
    "SilentSearchWatcher",
    "SilentWatcher",
    "StepDone",
    "TrainConfig",
    "TrainResult",
    "TrainingError",
    "Trial",
    "Watcher",
    "assist",
    "check",
    "document",
    "estimate_lines",
    "estimated",
    "evaluate_versions",
    "evaluation_lines",
    "latest_unfinished",
    "plan",
    "publish_run",
    "resume",
    "resume_search",
    "search_config",
    "train",
    "tune",
    "write_report",
]
