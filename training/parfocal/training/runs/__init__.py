"""One run: its folder, checkpoints, progress, results. No torch."""

from parfocal.training.runs.checkpoints import Checkpoint, Checkpoints
from parfocal.training.runs.comparison import Gain, gain
from parfocal.training.runs.curve import History, draw_curve
from parfocal.training.runs.forecast import Forecast
from parfocal.training.runs.full_disk import full_disk_named
from parfocal.training.runs.identity import Identity, Parent
from parfocal.training.runs.interruption import StopRequest
from parfocal.training.runs.job import Job, Sign
from parfocal.training.runs.progress import Scored, SilentWatcher, StepDone, Watcher
from parfocal.training.runs.result import Figures, TrainResult, shown
from parfocal.training.runs.resuming import resumed
from parfocal.training.runs.run_folder import RunFolder, absolute, latest_unfinished
from parfocal.training.runs.seals import Digests, changed_file, file_digests, is_sealed, sealed
from parfocal.training.runs.tools import tool_versions

__all__ = [
    "Checkpoint",
    "Checkpoints",
    "Digests",
    "Figures",
    "Forecast",
    "Gain",
    "History",
    "Identity",
    "Job",
    "Parent",
    "RunFolder",
    "Scored",
    "Sign",
    "SilentWatcher",
    "StepDone",
    "StopRequest",
    "TrainResult",
    "Watcher",
    "absolute",
    "changed_file",
    "draw_curve",
    "file_digests",
    "full_disk_named",
    "gain",
    "is_sealed",
    "latest_unfinished",
    "resumed",
    "sealed",
    "shown",
    "tool_versions",
]
