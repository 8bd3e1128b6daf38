"""What a run reports on its way, as values, and to whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StepDone:
    """How far a run is: `step` of `steps` are done. `loss` is the mean since the last report."""

    step: int
    steps: int
    loss: float
    tokens_per_second: float
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows that are not learnt were scored after `step`, or with the base alone before the first.

    `rows` says which they were, `figures` what was measured besides the loss; `is_best`: no adapter of this
    run had a lower loss before.
    """

    step: int
    steps: int
    rows: str
    loss: float
    figures: Mapping[str, float]
    is_base: bool = False
    is_best: bool = False


class Watcher(Protocol):
    """Follows a run; calls come from the training thread and should return immediately."""

    def say(self, text: str) -> None:
        """Receives a line of text."""

    def step(self, done: StepDone) -> None:
        """Receives a finished step."""

    def scored(self, found: Scored) -> None:
        """Receives what a scoring found; a line says it too."""

    def saved(self, step: int) -> None:
        """Is told that a checkpoint of `step` is complete."""


class SilentWatcher:
    """Follows nothing; for programs, and to be built on."""

    def say(self, text: str) -> None:
        """Ignores the line."""

    def step(self, done: StepDone) -> None:
        """Ignores the step."""

    def scored(self, found: Scored) -> None:
        """Ignores the scoring."""

    def saved(self, step: int) -> None:
        """Ignores the checkpoint."""
