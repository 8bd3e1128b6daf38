"""Ways to follow a search: a bar with the best so far, plain lines, events, and trackers for each trial."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from parfocal.registry import printable
from parfocal.training.config import TrainConfig
from parfocal.training.runs import Scored, SilentWatcher, StepDone, Watcher
from parfocal.training.search import SearchWatcher, SilentSearchWatcher, Trial, words
from parfocal.training.watching.events import STANDARD_OUTPUT, EventWatcher, open_events
from parfocal.training.watching.following import Tell
from parfocal.training.watching.several import Several
from parfocal.training.watching.trackers import trackers_of


class PlainSearchWatcher(SilentSearchWatcher):
    """Writes messages, and a line for each trial that ended."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def say(self, text: str) -> None:
        """Writes the line."""
        self._write(text)

    def ended(self, trial: Trial, count: int, best: Trial | None) -> None:
        """Writes what became of it."""
        self._write(ended_line(trial, count, best))


class BarSearchWatcher(SilentSearchWatcher):
    """Shows how far all trials are, with the best so far; a line stays of each. Use as a context."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.fields[at]}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._task = self._bar.add_task("trials", total=None, at="", figures="", visible=False)
        self._number, self._count = 0, 1
        self._best = ""

    def __enter__(self) -> "BarSearchWatcher":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Prints the line above the bar."""
        self._console.print(printable(text), markup=False, highlight=False)

    def began(self, number: int, count: int, settings: Mapping[str, Any]) -> None:
        """Moves the bar to the trial's begin."""
        self._number, self._count = number, count
        self._moved(number - 1, "")

    def step(self, done: StepDone) -> None:
        """Moves the bar within the trial."""
        part = min(1.0, done.step / max(1, done.steps))
        self._moved(self._number - 1 + part, f"loss {done.loss:.3f}, {done.tokens_per_second:.0f} tokens/s")

    def ended(self, trial: Trial, count: int, best: Trial | None) -> None:
        """Prints what became of it, and shows the best so far."""
        if best is not None:
            self._best = f"best {best.loss:.4f} (trial {best.number})"
        self.say(ended_line(trial, count, None))
        self._moved(trial.number, "")

    def _moved(self, done: float, figures: str) -> None:
        self._bar.update(
            self._task,
            completed=done,
            total=self._count,
            at=f"trial {self._number}/{self._count}",
            figures=printable(", ".join(filter(None, (self._best, figures)))),
            visible=True,
        )


def ended_line(trial: Trial, count: int, best: Trial | None) -> str:
    """What became of a trial in one line, and which is the best if that is another."""
    line = f"trial {trial.number}/{count}: {trial.line()}"
    if best is None or best.number == trial.number:
        return line
    return f"{line} (best: {best.loss:.4f}, trial {best.number})"


class _Following(SilentWatcher):
    """Tells a search's watcher everything, and events besides."""

    def __init__(self, watcher: SearchWatcher, events: EventWatcher | None) -> None:
        self._watcher = watcher
        self._events = events
        self._all = Several([watcher] if events is None else [watcher, events])

    def say(self, text: str) -> None:
        """Passes the line on."""
        self._all.say(text)

    def step(self, done: StepDone) -> None:
        """Passes the step on."""
        self._all.step(done)

    def scored(self, found: Scored) -> None:
        """Passes the scoring on."""
        self._all.scored(found)

    def saved(self, step: int) -> None:
        """Passes the checkpoint on."""
        self._all.saved(step)

    def began(self, number: int, count: int, settings: Mapping[str, Any]) -> None:
        """Passes the trial on."""
        self._watcher.began(number, count, settings)
        if self._events is not None:
            self._events.told("trial_began", {"trial": number, "trials": count, "settings": words(settings)})

    def ended(self, trial: Trial, count: int, best: Trial | None) -> None:
        """Passes the trial on."""
        self._watcher.ended(trial, count, best)
        if self._events is not None:
            best_so_far = None if best is None else best.number
            self._events.told("trial_ended", trial.to_json() | {"trials": count, "best": best_so_far})


@contextmanager
def followed_search(config: TrainConfig, watcher: SearchWatcher) -> Iterator[tuple[SearchWatcher, Tell]]:
    """Yields who is told of the search, and what to tell its result to; a failure that passes is told too.

    Raises:
        InvalidConfig: the file for events cannot be written.
    """
    with ExitStack() as opened:
        if config.events is None:
            yield _Following(watcher, None), lambda result: None
            return
        stream = open_events(config.events)
        if config.events != STANDARD_OUTPUT:
            opened.callback(stream.close)
        events = EventWatcher(stream)
        try:
            yield _Following(watcher, events), events.ended
        except BaseException as error:
            events.failed(error)
            raise


@contextmanager
def trial_watcher(
    config: TrainConfig, number: int, trial: TrainConfig, watcher: Watcher
) -> Iterator[Watcher]:
    """Yields who is told of a trial's run: `watcher`, after the trackers that `config` names.

    Raises:
        InvalidConfig: a tracker is unknown or not installed.
    """
    with ExitStack() as opened:
        watchers: list[Watcher] = []
        for tracker in trackers_of(config.track, f"{config.name}-trial-{number}", trial.to_json()):
            opened.callback(tracker.close)
            watchers.append(tracker)
        yield Several([*watchers, watcher])
