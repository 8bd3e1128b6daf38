"""Turns the first Ctrl-C (or SIGTERM) into a request to stop after this step; the second ends right away."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """A context in which signals only set `made`; restores the previous handlers when it ends.

    `exit_code` is what shells report of a process that the signal ended.

    Outside the main thread, where Python allows no handlers, `ask` still sets it by hand.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.made = False
        self.exit_code = 128 + signal.SIGINT
        self._say = say
        self._before: dict[signal.Signals, object] = {}

    def ask(self) -> None:
        """Asks the run to stop after the current step."""
        self.made = True
        self._say("Stopping after this step and saving a checkpoint; press Ctrl-C again to stop immediately")

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._restore()
        self.exit_code = 128 + number
        self.ask()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # it is what signal.signal returned
        self._before.clear()
