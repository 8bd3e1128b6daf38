"""A disk that fills up at a checkpoint, here by a limit on the size of files: the one before is intact."""

import resource
import time
from pathlib import Path
from typing import Any

import pytest

from fakes.training import RecordingWatcher, weights
from parfocal.training import DiskFull, StepDone, TrainConfig, TrainResult, resume, train
from parfocal.training.runs.run_folder import RunFolder

OFTEN_MINUTES = 0.01


class FillsTheDisk(RecordingWatcher):
    """Leaves no room for a second checkpoint once the first is complete, and makes each step due for one."""

    def __init__(self, run: Path) -> None:
        super().__init__()
        self._run = run

    def step(self, done: StepDone) -> None:
        """Waits until a checkpoint is due."""
        super().step(done)
        time.sleep(60 * OFTEN_MINUTES)

    def saved(self, step: int) -> None:
        """Allows files half as large as the largest that was just written."""
        super().saved(step)
        files = [path for path in self._run.glob("checkpoints/*/*") if path.is_file()]
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        largest = max(path.stat().st_size for path in files)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, hard))


def test_the_checkpoint_before_is_intact_and_resumes(settings: dict[str, Any], whole: TrainResult) -> None:
    run, before = settings["output"], resource.getrlimit(resource.RLIMIT_FSIZE)
    watcher = FillsTheDisk(run)
    try:
        with pytest.raises(DiskFull, match="parfocal train --resume --output"):
            train(TrainConfig(**settings, checkpoint_minutes=OFTEN_MINUTES), watcher)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    (last,) = watcher.checkpoints
    found = RunFolder.open(run)[0].checkpoints.latest()
    assert found is not None and found.step == last
    resume(run)
    assert weights(run) == weights(whole.output)
