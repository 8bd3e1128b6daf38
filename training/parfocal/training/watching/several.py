"""Several watchers as one."""

from collections.abc import Sequence

from parfocal.training.runs import Scored, StepDone, Watcher


class Several:
    """Tells each of its watchers everything, in their order."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def say(self, text: str) -> None:
        """Passes the line on."""
        for watcher in self._watchers:
            watcher.say(text)

    def step(self, done: StepDone) -> None:
        """Passes the step on."""
        for watcher in self._watchers:
            watcher.step(done)

    def scored(self, found: Scored) -> None:
        """Passes the scoring on."""
        for watcher in self._watchers:
            watcher.scored(found)

    def saved(self, step: int) -> None:
        """Passes the checkpoint on."""
        for watcher in self._watchers:
            watcher.saved(step)
