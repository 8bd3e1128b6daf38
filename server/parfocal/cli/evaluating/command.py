"""`parfocal eval`: measures versions beside their base on rows that they were not trained on."""

from pathlib import Path
from typing import TYPE_CHECKING

from parfocal.cli.display import say, show_json
from parfocal.cli.evaluating.flags import (
    AnswersOption,
    BaseOption,
    DataOption,
    DeviceOption,
    ExamplesOption,
    InstructionOption,
    LearntOption,
    MetricsOption,
    ProbesOption,
    ReportOption,
    RowsOption,
    ShotsOption,
    VersionsArgument,
)
from parfocal.cli.options import DEFAULT_REGISTRY, JsonOption, RegistryOption
from parfocal.cli.progress import spinner
from parfocal.cli.reach import registry_at

if TYPE_CHECKING:
    from parfocal.training import Evaluation


def eval_(
    data: DataOption,
    adapters: VersionsArgument = None,
    metrics: MetricsOption = None,
    base: BaseOption = None,
    rows: RowsOption = 1000,
    answers: AnswersOption = 200,
    shots: ShotsOption = 0,
    examples: ExamplesOption = None,
    instruction: InstructionOption = "",
    learnt: LearntOption = None,
    probes: ProbesOption = True,
    report: ReportOption = None,
    device: DeviceOption = "auto",
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Measure versions beside their base.

    All are asked in one mixed batch on the engine that serves, on the same 4-bit base: held-out loss, answers
    judged by metrics, whether they stop, what was forgotten. Each figure has its interval; "better" is said
    only where the interval says so. With --shots or --instruction each is asked again with a prompt.

    Example: parfocal eval team/invoices@2 team/invoices@prod --data held-out.jsonl --metric json

    Example: parfocal eval team/invoices --data held-out.jsonl --shots 4 --report ./report
    """
    from parfocal.training import EvalConfig, document, evaluate_versions, write_report

    config = EvalConfig(
        adapters=tuple(adapters or ()),
        data=data,
        metrics=tuple(metrics or ("exact",)),
        base=base,
        rows=rows,
        answers=answers,
        shots=shots,
        examples=examples,
        instruction=instruction,
        learnt=learnt,
        probes=probes,
        device=device,
    )
    with spinner("Loading the base") as tell:
        found = evaluate_versions(config, registry_at(registry) if adapters else None, tell)
    page = None if report is None else write_report(found.evaluated, report)
    if as_json:
        show_json({**document(found.evaluated), "recorded": found.metrics()})
    else:
        _show(found, page)


def _show(found: "Evaluation", page: Path | None) -> None:
    from parfocal.training import evaluation_lines

    for line in evaluation_lines(found.evaluated):
        say(line)
    if page is not None:
        say(f"Report: {page}")
