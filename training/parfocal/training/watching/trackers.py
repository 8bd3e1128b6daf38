"""Sends a run's figures to an experiment tracker: TensorBoard or Trackio, each an extra."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any, Protocol

from parfocal.registry.values import JSON
from parfocal.training.errors import InvalidConfig
from parfocal.training.runs import Scored, SilentWatcher, StepDone

KINDS = {"tensorboard": "FOLDER", "trackio": "PROJECT"}


class Tracker(Protocol):
    """Where figures go."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Records the values of a step."""

    def close(self) -> None:
        """Writes what is left."""


class TrackingWatcher(SilentWatcher):
    """Sends losses, speed and accuracy to a tracker."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def step(self, done: StepDone) -> None:
        """Sends the training loss and the speed."""
        figures = {"train/loss": done.loss, "train/tokens_per_second": done.tokens_per_second}
        self._tracker.log(done.step, figures)

    def scored(self, found: Scored) -> None:
        """Sends what the scoring found; the base's is sent under its own name."""
        prefix = f"base/{found.rows}" if found.is_base else found.rows
        figures = {"loss": found.loss, **found.figures}
        figures = {f"{prefix}/{name}": value for name, value in figures.items()}
        self._tracker.log(found.step, figures)

    def close(self) -> None:
        """Writes what is left."""
        self._tracker.close()


def check_trackers(track: Sequence[str]) -> None:
    """Raises InvalidConfig for a tracker that nobody knows, without its place, or that is not installed."""
    for each in track:
        kind, _, place = each.partition(":")
        if kind not in KINDS or not place:
            known = " or ".join(f"{name}:{what}" for name, what in KINDS.items())
            raise InvalidConfig(f"track is {each!r}; use {known}", field="track")
        if importlib.util.find_spec(kind) is None:
            raise InvalidConfig(
                f"track is {each!r}, and {kind} is not installed: pip install 'parfocal[{kind}]'",
                field="track",
            )


def trackers_of(track: Sequence[str], run: str, settings: Mapping[str, JSON]) -> list[TrackingWatcher]:
    """Opens the trackers that `track` names, for the run called `run`; raises InvalidConfig."""
    check_trackers(track)
    found: list[TrackingWatcher] = []
    for each in track:
        kind, _, place = each.partition(":")
        opened = _TensorBoard(place, run) if kind == "tensorboard" else _Trackio(place, run, settings)
        found.append(TrackingWatcher(opened))
    return found


class _TensorBoard:
    def __init__(self, folder: str, run: str) -> None:
        writing = importlib.import_module("torch.utils.tensorboard")
        self._writer: Any = writing.SummaryWriter(f"{folder}/{run.replace('/', '-')}")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Trackio:
    def __init__(self, project: str, run: str, settings: Mapping[str, JSON]) -> None:
        trackio = importlib.import_module("trackio")
        with redirect_stdout(sys.stderr):  # where it speaks; standard output may be for machines
            self._run: Any = trackio.init(project=project, name=run, config=dict(settings))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            self._run.finish()
