"""What a run reports to its watcher, and two ways to show it: a bar on a terminal, lines elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from parfocal.registry import printable


@dataclass(frozen=True, slots=True)
class StepDone:
    """How far a run is: `step` of `steps` are done. `loss` is the mean since the last report."""

    step: int
    steps: int
    loss: float
    tokens_per_second: float
    seconds_left: float


class Watcher(Protocol):
    """Follows a run; calls come from the training thread and should return immediately."""

    def say(self, text: str) -> None:
        """Receives a line of text."""

    def step(self, done: StepDone) -> None:
        """Receives a finished step."""


class SilentWatcher:
    """Follows nothing; for programs."""

    def say(self, text: str) -> None:
        """Ignores the line."""

    def step(self, done: StepDone) -> None:
        """Ignores the step."""


class PlainWatcher:
    """Writes plain lines: messages, and about ten lines of progress. For logs and pipes."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._tenths = 0

    def say(self, text: str) -> None:
        """Writes the line."""
        self._write(text)

    def step(self, done: StepDone) -> None:
        """Writes a line after each tenth of the run."""
        tenths = done.step * 10 // done.steps
        if tenths != self._tenths:
            self._tenths = tenths
            self._write(f"step {done.step}/{done.steps}  {_figures(done)}  {done.seconds_left:.0f} s left")


class BarWatcher:
    """Shows a progress bar below the messages; use as a context."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("training", total=None, figures="", visible=False)

    def __enter__(self) -> "BarWatcher":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Prints the line above the bar."""
        self._bar.console.print(printable(text), markup=False, highlight=False)

    def step(self, done: StepDone) -> None:
        """Moves the bar."""
        self._bar.update(
            self._task, completed=done.step, total=done.steps, figures=_figures(done), visible=True
        )


def _figures(done: StepDone) -> str:
    return f"loss {done.loss:.3f}  {done.tokens_per_second:.0f} tokens/s"
