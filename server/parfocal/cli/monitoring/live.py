"""Shows frame after frame on a terminal, until a key or Ctrl-C ends it."""

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.live import Live

from parfocal.cli.monitoring.frame import frame
from parfocal.cli.monitoring.history import History
from parfocal.cli.monitoring.look import Looker

_LEAVING = ("q", "Q", "\x1b", "\x04")


def watch(looker: Looker, interval_s: float, console: Console) -> None:
    """Looks every `interval_s` seconds; q, Escape, the end of standard input, or Ctrl-C leaves.

    The frame is drawn on the terminal's other screen and replaced as a whole, so that nothing flickers.
    """
    history, hint = History(), f"q leaves · every {interval_s:g} s"
    with _keys() as leaves, contextlib.suppress(KeyboardInterrupt), _live(console) as live:
        while True:
            begun = time.monotonic()
            view = history.add(looker.look())
            width, height = console.size
            live.update(frame(looker.address, view, width, height, hint), refresh=True)
            if leaves(max(0.0, interval_s - (time.monotonic() - begun))):
                return


def _live(console: Console) -> Live:
    return Live(console=console, screen=True, auto_refresh=False, transient=True)


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Yields what waits so many seconds for a key that leaves; keys are not echoed meanwhile."""
    if not sys.stdin.isatty():
        yield _nothing_typed
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        yield lambda wait_s: _typed(number, wait_s)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _typed(number: int, wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while True:
        ready, _, _ = select.select([number], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return False
        key = os.read(number, 32).decode("utf-8", "replace")
        if not key or key in _LEAVING:
            return True


def _nothing_typed(wait_s: float) -> bool:
    time.sleep(wait_s)
    return False
