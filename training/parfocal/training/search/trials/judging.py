"""Follows the run of one trial: passes on what it reports, notes its losses, and prunes it."""

from collections.abc import Callable

from parfocal.training.runs import Scored, StepDone, Watcher
from parfocal.training.search.records import Scoring
from parfocal.training.search.trials.study import Running


class Pruned(Exception):
    """Ends the run of a trial whose losses show that it will not be the best."""


class JudgingWatcher:
    """Tells a trial its losses; lines of single runs are left out, as a search has a line for each."""

    def __init__(self, trial: Running, watcher: Watcher, spent: Callable[[], float]) -> None:
        self._trial = trial
        self._watcher = watcher
        self._spent = spent

    def say(self, text: str) -> None:
        """Leaves the line out."""

    def step(self, done: StepDone) -> None:
        """Passes the step on."""
        self._watcher.step(done)

    def scored(self, found: Scored) -> None:
        """Passes the scoring on; raises Pruned where it is not worth going on."""
        self._watcher.scored(found)
        if found.is_base:
            self._trial.base(found.loss)
            return
        goes_on = self._trial.scored(Scoring(found.step, found.steps, found.loss))
        self._trial.spent(self._spent())
        if not goes_on:
            raise Pruned

    def saved(self, step: int) -> None:
        """Passes it on."""
        self._watcher.saved(step)
