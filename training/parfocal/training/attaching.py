"""What a run attaches to the version that it publishes: evaluation, its page, and the data report."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from parfocal.registry.values import DATA_REPORT_FILE, EVALUATION_FILE, MAX_ATTACHMENT_BYTES, REPORT_FILE
from parfocal.training.figures import Evaluated
from parfocal.training.findings import Report
from parfocal.training.reports import DOCUMENT, PAGE, report_files


def write_attachments(folder: Path, report: Report, evaluated: Evaluated | None) -> tuple[Path, ...]:
    """Writes them into `folder`, in place of what is there, and returns their paths; raises OSError.

    A file that is larger than a registry takes is left out: the run's folder has it.
    """
    files: dict[str, bytes] = {DATA_REPORT_FILE: _json(report.to_json())}
    if evaluated is not None:
        written = report_files(evaluated)
        files |= {EVALUATION_FILE: written[DOCUMENT], REPORT_FILE: written[PAGE]}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kept = {name: data for name, data in files.items() if len(data) <= MAX_ATTACHMENT_BYTES}
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    return attached_files(folder)


def attached_files(folder: Path) -> tuple[Path, ...]:
    """What was written there; none where an earlier release wrote nothing."""
    return tuple(sorted(folder.iterdir())) if folder.is_dir() else ()


def _json(value: Mapping[str, object]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
