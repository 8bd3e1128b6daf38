"""Looks through a data set of any size once, and gathers what there is to know of it. Loads no model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from parfocal.training.data.amounts import check_rows
from parfocal.training.data.checks.answers import Answers
from parfocal.training.data.checks.coverage import Coverage
from parfocal.training.data.checks.disclosures import disclosures
from parfocal.training.data.checks.fits import fits, method_of
from parfocal.training.data.checks.near_rows import NearRows, Phrases, text_of
from parfocal.training.data.checks.report import DataReport
from parfocal.training.data.checks.sample import SampledRows
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.formats import Columns, ExampleReader
from parfocal.training.data.lessons import lessons
from parfocal.training.data.overlap import check_overlap
from parfocal.training.data.reading import Progress
from parfocal.training.data.repeats import Repeats
from parfocal.training.data.rows import Example, PreferenceRow, Row, row_of
from parfocal.training.data.views import METHOD_VIEWS, VIEWS, read_rows, viewed
from parfocal.training.findings import Finding, Findings, Report

SAMPLE_ROWS = 50_000
_TELLING_ROWS = 1000  # from which is learnt what many rows share
_PEEKED = 64
_MOST_CANDIDATES = 20_000


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """How a data set is checked.

    `method`: by whose rules; None takes the one that the format is written for. `columns`: ours to theirs.
    `held_out`: rows that must not be among those to train on. `max_length`: where rows are cut, in tokens.
    `sample`: of how many rows tokens are counted and likeness is judged; of larger files an even part.
    """

    method: str | None = None
    columns: Columns = field(default_factory=dict)
    held_out: Path | None = None
    max_length: int | None = None
    sample: int = SAMPLE_ROWS


def check_data(
    path: Path,
    settings: CheckSettings,
    encoder: BaseEncoder | None = None,
    progress: Progress | None = None,
) -> DataReport:
    """Checks `path`: a file, `-` or a data set of the Hub. `encoder` counts tokens; without one none are.

    Raises:
        DataUnreadable: there is no such file.
        HubRefused: the Hub gives no such data set.
    """
    reader = ExampleReader(path, settings.columns, progress)
    found = iter(reader)
    first = _first(found)
    method = settings.method or method_of(reader.format)
    view = VIEWS[METHOD_VIEWS[method]]
    held_out: tuple[Example, ...] = ()
    findings = Findings()
    if settings.held_out is not None:
        read = read_rows(settings.held_out, view, settings.columns)
        held_out = read.rows
        findings.extend(read.findings)
    checks = _Checks(held_out, SampledRows(settings.sample, held_out, encoder, settings.max_length))
    for each in viewed(chain(first, found), view):
        findings.extend(checks.take(each))
    findings.extend(checks.findings())
    findings.extend(check_rows(checks.rows, reader.source))
    return _report(reader, method, findings, checks, settings)


def check_contents(rows: Sequence[Example], held_out: Sequence[Example]) -> Iterator[Finding]:
    """What there is to say of rows that are in memory already: of their texts, answers and coverage."""
    answers, coverage = Answers(), Coverage(held_out)
    for each in rows:
        answers.add(each)
        coverage.add(each)
    for each in (*rows, *held_out):
        row = row_of(each)
        yield from disclosures(_texts(each), row.source, row.line)
    yield from answers.findings()
    yield from coverage.findings()
    yield from _alike(rows)


def _alike(rows: Sequence[Example]) -> Iterator[Finding]:
    """Notes rows that are nearly an earlier one; of very many, every second or third is looked at."""
    compared = rows[:: -(-len(rows) // SAMPLE_ROWS) or 1]
    near = NearRows(Phrases([text_of(row_of(each)) for each in compared[:_TELLING_ROWS]]), ())
    near.add(compared, keep=True)
    yield from near.findings()


def _first(found: Iterator[Example | Finding]) -> list[Example | Finding]:
    """As many rows as tell the format."""
    first: list[Example | Finding] = []
    rows = 0
    for each in found:
        first.append(each)
        rows += not isinstance(each, Finding)
        if rows == _PEEKED or len(first) == 100 * _PEEKED:
            break
    return first


class _Checks:
    """Every check that goes on while rows pass by; what they keep does not grow with the file."""

    def __init__(self, held_out: tuple[Example, ...], sample: SampledRows) -> None:
        self.rows = 0
        self.answers = Answers()
        self.coverage = Coverage(held_out)
        self.sample = sample
        self.held_out = [row_of(each) for each in held_out]
        self._repeats = Repeats()
        self._asked = {key for row in self.held_out for key in _asked(row)}
        self._candidates: list[Row] = []

    def take(self, found: Example | Finding) -> Iterator[Finding]:
        """Looks at one row, and yields what shows in it alone."""
        if isinstance(found, Finding):
            yield found
            return
        row = row_of(found)
        self.rows += 1
        self.answers.add(found)
        self.coverage.add(found)
        self.sample.add(found)
        self._repeats.add(found)
        yield from disclosures(_texts(found), row.source, row.line)
        if (
            self._asked
            and len(self._candidates) < _MOST_CANDIDATES
            and not self._asked.isdisjoint(_asked(row))
        ):
            self._candidates.append(row)

    def findings(self) -> Iterator[Finding]:
        """What shows only in all rows together."""
        yield from self.sample.findings()
        yield from self._repeats.findings()
        yield from self.answers.findings()
        yield from self.coverage.findings()
        yield from check_overlap(self._candidates, self.held_out)[1]


def _report(
    reader: ExampleReader, method: str, findings: Findings, checks: _Checks, settings: CheckSettings
) -> DataReport:
    found = findings.as_tuple()
    counts = {"objects": reader.count, "rows": checks.rows}
    if settings.held_out is not None:
        counts["held_out_rows"] = len(checks.held_out)
    guessed = next(
        (each.fix for each in found if each.code == "UNKNOWN_FORMAT" and "--column" in each.fix), ""
    )
    return DataReport(
        report=Report(reader.source, found, counts),
        method=method,
        format=None if reader.format is None else reader.format.value,
        container=reader.containers[0] if reader.containers else None,
        digest=reader.digest,
        fits=fits(reader.format, guessed),
        answers=checks.answers.facts(),
        coverage=checks.coverage.cells(),
        lengths=checks.sample.lengths,
        sampled=checks.sample.rows,
        max_length=settings.max_length,
    )


def _texts(example: Example) -> str:
    turns = row_of(example).turns
    others = example.rejected.turns[-1:] if isinstance(example, PreferenceRow) else ()
    return "\n".join(turn.said() for turn in (*turns, *others))


def _asked(row: Row) -> frozenset[bytes]:
    """What a row asks, with its system prompt and without."""
    return frozenset(lesson.prompt for system in (True, False) for lesson in lessons(row, system=system))
