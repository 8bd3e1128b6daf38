"""`parfocal data check`: checks files one by one, and prints what was found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parfocal.cli.data.bars import bar, histogram
from parfocal.cli.display import count_text, say, show_json, show_section
from parfocal.cli.progress import bytes_progress

if TYPE_CHECKING:
    from parfocal.training.data.checks import DataReport

_SHOWN_LABELS = 20
_SHOWN_CELLS = 24


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What the command was given."""

    files: tuple[Path, ...]
    method: str | None
    base: str | None
    held_out: Path | None
    max_length: int | None
    columns: Mapping[str, str]
    variables: Mapping[str, Any]
    tokens: bool
    as_json: bool


def check_files(request: CheckRequest) -> None:
    """Checks every file; raises DataRefused for the first that cannot be trained on."""
    from parfocal.training import DataRefused
    from parfocal.training.data import base_encoder
    from parfocal.training.data.checks import CheckSettings, check_data

    encoder, context = None, None
    if request.tokens:
        encoder, context = base_encoder(request.base or "tiny", request.variables)
    settings = CheckSettings(
        method=request.method,
        columns=request.columns,
        held_out=request.held_out,
        # Rows are held to the context of a base that was named; tiny only lends its tokens.
        max_length=request.max_length or (context if request.base else None),
    )
    reports = []
    for file in request.files:
        with bytes_progress(f"Checking {file}") as progress:
            reports.append(check_data(file, settings, encoder, progress))
        if not request.as_json:
            _show(reports[-1], file, request)
    if request.as_json:
        show_json({"reports": [report.to_json() for report in reports]})
    refused = next((report for report in reports if not report.accepted), None)
    if refused is not None:
        raise DataRefused(refused.report)


def _show(report: "DataReport", file: Path, request: CheckRequest) -> None:
    counts = report.report.counts
    parts = [
        count_text(counts["rows"], "row"),
        *([report.format] if report.format else []),
        *([report.container] if report.container else []),
    ]
    say(f"{report.report.source}: {', '.join(parts)}, checked for {report.method}")
    for line in report.report.lines():
        say(line)
    _show_lengths(report, request.base or "tiny")
    _show_answers(report)
    _show_coverage(report)
    rows = [(each.method, each.fit.value, each.how.replace("FILE", str(file))) for each in report.fits]
    show_section("Methods", rows, ("METHOD", "FIT", "HOW"))
    if report.accepted and report.method == "sft":
        say("")
        say(f"Next: parfocal train --data {file} --name team/NAME --check")


def _show_lengths(report: "DataReport", base: str) -> None:
    if not report.lengths:
        return
    rows = []
    for name, each in report.lengths.items():
        figures = (each.least, round(each.mean), *each.quantiles.values(), each.most)
        rows.append((name, *(f"{figure:,}" for figure in figures)))
    of_all = "" if report.sampled == report.report.counts["rows"] else f", of {report.sampled:,} sampled rows"
    title = f"Tokens of {base}{of_all}"
    show_section(title, rows, ("", "LEAST", "MEAN", "HALF", "9 OF 10", "99 OF 100", "MOST"))
    say("")
    for line in histogram(report.lengths["row"].bars):
        say(line)


def _show_answers(report: "DataReport") -> None:
    labels = report.answers.labels
    if labels:
        most = max(labels.values())
        rows = [
            (label, f"{count:,}", bar(count / most)) for label, count in [*labels.items()][:_SHOWN_LABELS]
        ]
        show_section("Labels", rows, ("ANSWER", "ROWS", ""))
    elif report.answers.json_keys:
        keys = [(key, f"{count:,}") for key, count in [*report.answers.json_keys.items()][:_SHOWN_LABELS]]
        show_section("Keys of the answers, which are JSON", keys, ("KEY", "ROWS"))


def _show_coverage(report: "DataReport") -> None:
    from parfocal.training.data.checks import length_name

    held_out = any(cell.held_out for cell in report.coverage)
    rows = [
        (
            cell.slice or "-",
            length_name(cell.length),
            f"{cell.rows:,}",
            *([f"{cell.held_out:,}"] if held_out else []),
        )
        for cell in report.coverage[:_SHOWN_CELLS]
    ]
    headings = ("SLICE", "PROMPT, CHARACTERS", "ROWS", *(["HELD OUT"] if held_out else []))
    show_section("Coverage", rows, headings)
