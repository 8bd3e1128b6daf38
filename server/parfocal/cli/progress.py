"""Progress on stderr, only on a terminal. Knows no work."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from parfocal.registry import printable

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

Report = Callable[[int, int], None]


@contextlib.contextmanager
def bytes_progress(title: str) -> Iterator[Report | None]:
    """Shows a bar while the scope lasts; yields what to tell (done, total) bytes, None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import DownloadColumn, TransferSpeedColumn

    with _bar(title, DownloadColumn(), TransferSpeedColumn()) as report:
        yield report


@contextlib.contextmanager
def count_progress(title: str) -> Iterator[Report | None]:
    """Shows a bar while the scope lasts; yields what to tell (done, total), None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    with _bar(title, MofNCompleteColumn(), TimeRemainingColumn()) as report:
        yield report


@contextlib.contextmanager
def spinner(title: str) -> Iterator[Callable[[str], None]]:
    """Shows activity while the scope lasts; yields what changes the title."""
    if not sys.stderr.isatty():
        yield lambda changed: None
        return
    from rich.console import Console

    with Console(stderr=True).status(_plain(title)) as status:
        yield lambda changed: status.update(_plain(changed))


@contextlib.contextmanager
def _bar(title: str, *figures: "ProgressColumn") -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), *figures)
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(_plain(title), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _plain(title: str) -> str:
    """The title as Rich shows it unchanged: names of folders may hold its markup."""
    from rich.markup import escape

    return escape(printable(title))
