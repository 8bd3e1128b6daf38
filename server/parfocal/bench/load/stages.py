"""Shows how far a bench has come: a bar on stderr where a person watches, nothing elsewhere."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Stages(Protocol):
    """Follows the stages of a long task."""

    def begin(self, title: str) -> None:
        """Says what is being done now."""

    def within(self, share: float) -> None:
        """Says how much of the part is done, from 0 to 1."""

    def done(self) -> None:
        """Says that one more stage is done."""


class SilentStages:
    """Shows nothing."""

    def begin(self, title: str) -> None:
        """Ignores the title."""

    def within(self, share: float) -> None:
        """Ignores the share."""

    def done(self) -> None:
        """Ignores the step."""


@contextlib.contextmanager
def stages_shown(total: int) -> Iterator[Stages]:
    """Yields what to report `total` stages to."""
    if not sys.stderr.isatty():
        yield SilentStages()
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress, total)


class _Bar:
    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)
        self._parts = 0

    def begin(self, title: str) -> None:
        self._progress.update(self._task, description=title)

    def within(self, share: float) -> None:
        self._progress.update(self._task, completed=self._parts + share)

    def done(self) -> None:
        self._parts += 1
        self._progress.update(self._task, completed=self._parts)
