"""Experiment trackers: every figure is sent; one that is unknown or not installed is refused by name."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import pytest

from parfocal.training import InvalidConfig, Scored, StepDone
from parfocal.training.watching import TrackingWatcher, check_trackers, trackers_of


class Recorded:
    def __init__(self) -> None:
        self.logged: list[tuple[int, Mapping[str, float]]] = []

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.logged.append((step, values))

    def close(self) -> None:
        pass


def test_losses_speed_and_accuracy_are_sent_and_the_base_apart() -> None:
    tracker = Recorded()
    watcher = TrackingWatcher(tracker)
    watcher.scored(Scored(0, 9, "validation", 2.0, {"token_accuracy": 0.1}, is_base=True))
    watcher.step(StepDone(3, 9, 1.5, 100.0, 1.0))
    watcher.scored(Scored(3, 9, "validation", 1.2, {"token_accuracy": 0.5}))

    assert tracker.logged == [
        (0, {"base/validation/loss": 2.0, "base/validation/token_accuracy": 0.1}),
        (3, {"train/loss": 1.5, "train/tokens_per_second": 100.0}),
        (3, {"validation/loss": 1.2, "validation/token_accuracy": 0.5}),
    ]


@pytest.mark.parametrize("track", ["wandb:project", "tensorboard", "tensorboard:"])
def test_a_tracker_that_nobody_knows_is_refused(track: str) -> None:
    with pytest.raises(InvalidConfig, match="use tensorboard:FOLDER or trackio:PROJECT"):
        check_trackers([track])


@pytest.mark.parametrize("kind", ["tensorboard", "trackio"])
def test_a_tracker_that_is_not_installed_is_refused_with_its_extra(kind: str) -> None:
    if importlib.util.find_spec(kind) is not None:
        pytest.skip(f"{kind} is installed")
    with pytest.raises(InvalidConfig, match=rf"{kind} is not installed: pip install 'parfocal\[{kind}\]'"):
        check_trackers([f"{kind}:somewhere"])


def test_tensorboard_reads_what_was_sent(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (watcher,) = trackers_of([f"tensorboard:{tmp_path}"], "team/n", {})
    watcher.step(StepDone(3, 9, 1.5, 100.0, 1.0))
    watcher.close()
    found = reading.EventAccumulator(str(tmp_path / "team-n")).Reload()

    assert [(each.step, each.value) for each in found.Scalars("train/loss")] == [(3, 1.5)]
