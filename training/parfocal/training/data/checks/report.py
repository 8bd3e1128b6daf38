"""What a check of one data set found, as a value and as a document."""

from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.registry.values import JSON
from parfocal.training.data.checks.answers import AnswerFacts
from parfocal.training.data.checks.coverage import Cell
from parfocal.training.data.checks.fits import MethodFit
from parfocal.training.data.checks.lengths import Lengths
from parfocal.training.findings import Report


@dataclass(frozen=True, slots=True)
class DataReport:
    """Everything that was found in one data set.

    `report` holds the findings and counts; `method` is whose rules they were judged by; `format` and
    `container` say how it is written. `lengths` are in tokens of `sampled` rows, for the whole row, its
    prompt and its answer.
    """

    report: Report
    method: str
    format: str | None
    container: str | None
    digest: str
    fits: tuple[MethodFit, ...]
    answers: AnswerFacts
    coverage: tuple[Cell, ...]
    lengths: Mapping[str, Lengths]
    sampled: int
    max_length: int | None

    @property
    def accepted(self) -> bool:
        """Whether the method can be trained on it."""
        return not self.report.errors

    def to_json(self) -> dict[str, JSON]:
        """The document that is printed and kept."""
        return {
            **self.report.to_json(),
            "method": self.method,
            "format": self.format,
            "container": self.container,
            "digest": self.digest,
            "methods": [each.to_json() for each in self.fits],
            "answers": self.answers.to_json(),
            "coverage": [cell.to_json() for cell in self.coverage],
            "tokens": {name: lengths.to_json() for name, lengths in self.lengths.items()},
            "sampled_rows": self.sampled,
            "max_length": self.max_length,
        }
