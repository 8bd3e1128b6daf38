"""A run on a terminal: its losses as a chart, below that a bar, and messages above both."""

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from parfocal.registry import printable
from parfocal.training.runs import Scored, StepDone
from parfocal.training.watching.chart import draw_chart
from parfocal.training.watching.plain import figures

_CHART_ROWS = 8
_LEAST_ROWS = 20  # of a terminal: on a smaller one the chart would hide the messages
_WIDEST = 100


class BarWatcher:
    """Shows a live chart and a progress bar below the messages; use as a context."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("training", total=None, figures="", visible=False)
        self._learnt: list[tuple[int, float]] = []
        self._scored: list[tuple[int, float]] = []
        self._base: float | None = None
        self._live = Live(console=console, get_renderable=self._shown, refresh_per_second=4)

    def __enter__(self) -> "BarWatcher":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """Prints the line above the chart."""
        self._console.print(printable(text), markup=False, highlight=False)

    def step(self, done: StepDone) -> None:
        """Moves the bar, and adds a point to the chart."""
        self._learnt.append((done.step, done.loss))
        self._bar.update(
            self._task, completed=done.step, total=done.steps, figures=figures(done), visible=True
        )

    def scored(self, found: Scored) -> None:
        """Adds a point to the chart, or the base's line."""
        if found.is_base:
            self._base = found.loss
        else:
            self._scored.append((found.step, found.loss))

    def saved(self, step: int) -> None:
        """Shows nothing: a checkpoint is nothing to be told of while all is well."""

    def _shown(self) -> Group:
        lines: list[str] = []
        if self._console.height >= _LEAST_ROWS:
            width = min(_WIDEST, self._console.width - 1)
            lines = draw_chart(self._learnt, self._scored, self._base, width, _CHART_ROWS)
        return Group(*(Text(line, no_wrap=True) for line in lines), self._bar)
