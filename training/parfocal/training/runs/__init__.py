"""One run: its folder, checkpoints, progress, results. No torch."""

from parfocal.training.runs.checkpoints import Checkpoint, Checkpoints
from parfocal.training.runs.comparison import gain
from parfocal.training.runs.curve import History, draw_curve
from parfocal.training.runs.full_disk import full_disk_named
from parfocal.training.runs.interruption import StopRequest
from parfocal.training.runs.job import Job, Parent
from parfocal.training.runs.progress import BarWatcher, PlainWatcher, SilentWatcher, StepDone, Watcher
from parfocal.training.runs.result import Figures, TrainResult
from parfocal.training.runs.resuming import resumed
from parfocal.training.runs.run_folder import Identity, RunFolder, latest_unfinished

__all__ = [
    "BarWatcher",
    "Checkpoint",
    "Checkpoints",
    "Figures",
    "History",
    "Identity",
    "Job",
    "Parent",
    "PlainWatcher",
    "RunFolder",
    "SilentWatcher",
    "StepDone",
    "StopRequest",
    "TrainResult",
    "Watcher",
    "draw_curve",
    "full_disk_named",
    "gain",
    "latest_unfinished",
    "resumed",
]
