"""The flags of `parfocal eval`. Values and help only."""

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    Path, typer.Option("--data", metavar="FILE", help="Rows that no version was trained on.")
]
VersionsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[REF]…", help="Versions of one base: name, name@3, name@prod. None: the base."),
]
MetricsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="METRIC",
        help="exact, json, json=SCHEMA.json, label, rouge, regex=PATTERN, judge=URL#MODEL or "
        "module:function; again for more. Default: exact.",
    ),
]
BaseOption = Annotated[
    str | None,
    typer.Option("--base", metavar="BASE", help="A folder, a Hub id or tiny. Default: the versions' own."),
]
RowsOption = Annotated[int, typer.Option("--rows", min=1, help="At most so many rows are scored.")]
AnswersOption = Annotated[int, typer.Option("--answers", min=0, help="At most so many are answered.")]
ShotsOption = Annotated[
    int, typer.Option("--shots", min=0, help="Examples to prompt with: does a prompt do as well?")
]
ExamplesOption = Annotated[
    Path | None,
    typer.Option("--examples", metavar="FILE", help="Rows to take them from. Default: the first of --data."),
]
InstructionOption = Annotated[
    str, typer.Option("--instruction", metavar="TEXT", help="A prompt to compare with, before the examples.")
]
LearntOption = Annotated[
    Path | None,
    typer.Option("--learnt", metavar="FILE", help="Rows trained on, to find those like wrong answers."),
]
ProbesOption = Annotated[
    bool, typer.Option("--probes/--no-probes", help="Measure what was forgotten, and clichés.")
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FOLDER", help="Write report.html, report.md and report.json there."),
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N.")]
