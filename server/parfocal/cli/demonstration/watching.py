"""Shows a training run's steps without details: a bar on a terminal, occasional lines elsewhere."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from parfocal.training import SilentWatcher, StepDone

_LINES = 3


class StepBar(SilentWatcher):
    """Follows one run after another; each is shown while its scope lasts."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> "StepBar":
        if self._console.is_terminal:
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.3f}"))
            self._bar = Progress(*columns, TimeRemainingColumn(), console=self._console, transient=True)
            self._task = self._bar.add_task("training", total=None, loss=float("nan"))
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        """Drops a run's details, which are in its folder."""

    def step(self, done: StepDone) -> None:
        """Moves the bar, or writes a line at each third of the way."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done.step, total=done.steps, loss=done.loss)
        elif done.step % -(-done.steps // _LINES) == 0 or done.step == done.steps:
            self._console.print(f"  step {done.step} of {done.steps}, loss {done.loss:.3f}")
