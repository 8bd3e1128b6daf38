"""A run as plain lines, for logs and pipes."""

from collections.abc import Callable

from parfocal.training.runs import SilentWatcher, StepDone


class PlainWatcher(SilentWatcher):
    """Writes plain lines: messages, and about ten lines of progress."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._tenths = 0

    def say(self, text: str) -> None:
        """Writes the line."""
        self._write(text)

    def step(self, done: StepDone) -> None:
        """Writes a line after each tenth of the run."""
        tenths = done.step * 10 // done.steps
        if tenths != self._tenths:
            self._tenths = tenths
            self._write(f"step {done.step}/{done.steps}  {figures(done)}  {done.seconds_left:.0f} s left")


def figures(done: StepDone) -> str:
    """The figures of a step, for people."""
    return f"loss {done.loss:.3f}  {done.tokens_per_second:.0f} tokens/s"
