"""What training refuses, and why. Knows no gRPC: `status` is a canonical code's name.

TrainingError
├── InvalidConfig         INVALID_ARGUMENT      a setting is out of its range
├── DataRefused           INVALID_ARGUMENT      the data has faults; `report` names their lines
├── DataUnreadable        NOT_FOUND             a data file cannot be read
├── RunExists             FAILED_PRECONDITION   the output folder holds another run
├── NothingToResume       NOT_FOUND             the output folder has no complete checkpoint
├── NothingToPublish      FAILED_PRECONDITION   the run is not finished, or has nowhere to go
├── ResumeMismatch        FAILED_PRECONDITION   settings, data or base changed since the checkpoint
├── RunDamaged            DATA_LOSS             a file of the run is not as the run wrote it
├── ParentMismatch        FAILED_PRECONDITION   the adapter to continue from does not fit this run
├── BaseUnfit             FAILED_PRECONDITION   the base cannot be trained on as it is
├── Interrupted           CANCELLED             Ctrl-C; `checkpoint` says where to go on from
├── DiskFull              RESOURCE_EXHAUSTED    no space is left for the run's folder
├── PeerLost              UNAVAILABLE           another process of the run has ended, or does not come
├── MetricFailed          FAILED_PRECONDITION   a metric of the user's own gave no number
│   └── JudgeUnavailable  UNAVAILABLE           the model that judges answers gave no verdict
├── RewardFailed          FAILED_PRECONDITION   a reward raised, took too long, or gave no number
├── SearchFailed          ABORTED               no trial of a search ended with an adapter
├── GradientsLost         INTERNAL              lower layers would no longer learn
└── Diverged              ABORTED               the loss is no number any more, or far above the base's
"""

from pathlib import Path
from typing import ClassVar

from parfocal.training.findings import Report


class TrainingError(Exception):
    """Base of everything training raises on purpose."""

    status: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "TRAINING_ERROR"
    exit_code: int = 1  # of the command

    def __init__(self, message: str, *, field: str | None = None, **metadata: str) -> None:
        super().__init__(message)
        self.field = field
        self.metadata = metadata


class InvalidConfig(TrainingError):
    """A setting is out of its range; `field` names it."""

    status = "INVALID_ARGUMENT"
    reason = "INVALID_CONFIG"


class DataRefused(TrainingError):
    """The data has faults that would spoil the adapter; `report` holds every one with its lines."""

    status = "INVALID_ARGUMENT"
    reason = "DATA_REFUSED"

    def __init__(self, report: Report) -> None:
        errors = report.errors
        problems = f"{len(errors)} problem{'s' * (len(errors) > 1)}"
        super().__init__(
            f"{report.source}: {problems} in the data, first: {errors[0].headline()}; "
            "correct the named lines and run again",
            findings=",".join(finding.code for finding in errors),
        )
        self.report = report


class DataUnreadable(TrainingError):
    """A data file is missing or cannot be read."""

    status = "NOT_FOUND"
    reason = "DATA_UNREADABLE"


class RunExists(TrainingError):
    """The output folder holds another run, which is not overwritten."""

    status = "FAILED_PRECONDITION"
    reason = "RUN_EXISTS"


class NothingToResume(TrainingError):
    """The output folder has no complete checkpoint."""

    status = "NOT_FOUND"
    reason = "NOTHING_TO_RESUME"


class NothingToPublish(TrainingError):
    """The run is not finished, or it was given no registry and none is named."""

    status = "FAILED_PRECONDITION"
    reason = "NOTHING_TO_PUBLISH"


class ResumeMismatch(TrainingError):
    """A setting, the data or the base is not what the run began with, so it would not be the same run."""

    status = "FAILED_PRECONDITION"
    reason = "RESUME_MISMATCH"


class RunDamaged(TrainingError):
    """A file of the run is not as the run wrote it, so nothing is resumed or published from it."""

    status = "DATA_LOSS"
    reason = "RUN_DAMAGED"


class ParentMismatch(TrainingError):
    """The adapter to continue from was made for another base, or with another shape."""

    status = "FAILED_PRECONDITION"
    reason = "PARENT_MISMATCH"


class BaseUnfit(TrainingError):
    """The base cannot be trained on: no tokenizer, no context, or nothing to adapt."""

    status = "FAILED_PRECONDITION"
    reason = "BASE_UNFIT"


class Interrupted(TrainingError):
    """Training was stopped on request and can go on from `checkpoint`.

    `exit_code` is what shells report of a process that the signal ended: 130 for Ctrl-C.
    """

    status = "CANCELLED"
    reason = "INTERRUPTED"

    def __init__(self, message: str, *, checkpoint: Path, step: int, exit_code: int = 130) -> None:
        super().__init__(message, checkpoint=str(checkpoint), step=str(step))
        self.checkpoint = checkpoint
        self.step = step
        self.exit_code = exit_code


class DiskFull(TrainingError):
    """The run's disk is full; what was saved before is intact."""

    status = "RESOURCE_EXHAUSTED"
    reason = "DISK_FULL"


class PeerLost(TrainingError):
    """Another process of the run has ended, or does not come; what was saved before is intact."""

    status = "UNAVAILABLE"
    reason = "PEER_LOST"


class MetricFailed(TrainingError):
    """A metric gave no number for an answer; nothing is recorded in its place."""

    status = "FAILED_PRECONDITION"
    reason = "METRIC_FAILED"


class JudgeUnavailable(MetricFailed):
    """The model that judges answers is down, refuses, or gives no verdict."""

    status = "UNAVAILABLE"
    reason = "JUDGE_UNAVAILABLE"


class RewardFailed(TrainingError):
    """A reward raised, took too long, or gave no finite number; nothing was learnt in its place."""

    status = "FAILED_PRECONDITION"
    reason = "REWARD_FAILED"


class SearchFailed(TrainingError):
    """No trial of a search ended with an adapter."""

    status = "ABORTED"
    reason = "SEARCH_FAILED"


class GradientsLost(TrainingError):
    """The base no longer passes gradients down, so lower layers would silently stop learning."""

    reason = "GRADIENTS_LOST"


class Diverged(TrainingError):
    """The loss is no longer a finite number, or rose far above the base's.

    `adapter` is the folder of the best adapter until then, if there was one.
    """

    status = "ABORTED"
    reason = "DIVERGED"

    def __init__(self, message: str, *, step: int, adapter: Path | None = None) -> None:
        kept = {} if adapter is None else {"adapter": str(adapter)}
        super().__init__(message, step=str(step), **kept)
        self.step = step
        self.adapter = adapter
