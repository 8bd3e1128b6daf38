"""Shows how far pre-training is: a bar on a terminal, plain lines elsewhere."""

import sys
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LINE_EVERY = 50


class Reporter(Protocol):
    """Is told about every step and every checkpoint."""

    def step(self, step: int, loss: float, tokens_per_second: float) -> None:
        """One step is done."""

    def note(self, text: str) -> None:
        """Something worth a line happened."""


class Display:
    """Prints steps to standard output; a context manager, so that the bar ends cleanly."""

    def __init__(self, steps: int) -> None:
        """Chooses the bar where standard output is a terminal."""
        self._console = Console(soft_wrap=True)
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=self._console) if sys.stdout.isatty() else None
        self._task = self._bar.add_task("starting", total=steps) if self._bar else None
        self._steps = steps

    def __enter__(self) -> "Display":
        """Starts the bar."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Stops the bar."""
        if self._bar:
            self._bar.stop()

    def step(self, step: int, loss: float, tokens_per_second: float) -> None:
        """Moves the bar, or prints every fiftieth step."""
        text = f"loss {loss:.3f} · {tokens_per_second:,.0f} tokens/s"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=step, description=text)
        elif step % _LINE_EVERY == 0 or step == self._steps:
            print(f"step {step}/{self._steps} · {text}", flush=True)

    def note(self, text: str) -> None:
        """Prints the text above the bar."""
        self._console.print(text, markup=False, highlight=False)
