"""What a search reports on its way, and to whom."""

from collections.abc import Mapping
from typing import Any, Protocol

from parfocal.training.runs import SilentWatcher, Watcher
from parfocal.training.search.records import Trial


class SearchWatcher(Watcher, Protocol):
    """Follows a search: steps, scorings and checkpoints are those of the trial that began last."""

    def began(self, number: int, count: int, settings: Mapping[str, Any]) -> None:
        """Is told that a trial begins, or goes on, of so many."""

    def ended(self, trial: Trial, count: int, best: Trial | None) -> None:
        """Is told what became of it, and which is the best so far."""


class SilentSearchWatcher(SilentWatcher):
    """Follows nothing; for programs, and to be built on."""

    def began(self, number: int, count: int, settings: Mapping[str, Any]) -> None:
        """Ignores the trial."""

    def ended(self, trial: Trial, count: int, best: Trial | None) -> None:
        """Ignores the trial."""
