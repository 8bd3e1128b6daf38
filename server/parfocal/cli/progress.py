"""Progress on stderr, only on a terminal. Knows no work."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from parfocal.registry import printable

Report = Callable[[int, int], None]


@contextlib.contextmanager
def bytes_progress(title: str) -> Iterator[Report | None]:
    """Shows a bar while the scope lasts; yields what to tell (done, total) bytes, None without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(_plain(title), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextlib.contextmanager
def spinner(title: str) -> Iterator[Callable[[str], None]]:
    """Shows activity while the scope lasts; yields what changes the title."""
    if not sys.stderr.isatty():
        yield lambda changed: None
        return
    from rich.console import Console

    with Console(stderr=True).status(_plain(title)) as status:
        yield lambda changed: status.update(_plain(changed))


def _plain(title: str) -> str:
    """The title as Rich shows it unchanged: names of folders may hold its markup."""
    from rich.markup import escape

    return escape(printable(title))
