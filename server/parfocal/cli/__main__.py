"""Runs the command: `parfocal …` or `python -m parfocal.cli …`."""

import signal
from types import FrameType

from .app import build_app


def main() -> None:
    """Runs the command line of this process and exits: 0, 1 (a domain error, one line) or 2 (usage)."""
    leave_on_sigterm()
    build_app()()


def leave_on_sigterm() -> None:
    """Lets SIGTERM end a command as Ctrl-C does: what it has opened is closed, a server under test ended.

    Commands that have something better to do with the signal, such as draining, replace the handler.
    """
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
