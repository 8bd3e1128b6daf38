"""The result of a search: its trials, and the best of them as a finished run."""

from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.values import JSON
from parfocal.training.runs import TrainResult
from parfocal.training.search.records import Found


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A finished search. `result` is the best trial's, as of a run by itself; `report` the search's page."""

    found: Found
    result: TrainResult
    report: Path

    def to_json(self) -> dict[str, JSON]:
        """The best run's result with the search beside it."""
        return self.result.to_json() | {"search": self.found.to_json() | {"report": str(self.report)}}
