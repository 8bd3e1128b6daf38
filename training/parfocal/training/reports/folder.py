"""Writes a report's three forms to a folder, each whole or not at all, and none too large."""

import json
from collections.abc import Mapping
from pathlib import Path

from parfocal.training.figures import Evaluated
from parfocal.training.reports.document import document
from parfocal.training.reports.markdown import markdown
from parfocal.training.reports.page import page

PAGE, MARKDOWN, DOCUMENT = "report.html", "report.md", "report.json"


def report_files(found: Evaluated) -> Mapping[str, bytes]:
    """The three forms by file name; the same evaluation gives the same bytes."""
    return {
        PAGE: page(found).encode(errors="replace"),
        MARKDOWN: markdown(found).encode(errors="replace"),
        DOCUMENT: (json.dumps(document(found), indent=1, ensure_ascii=False) + "\n").encode(errors="replace"),
    }


def write_report(found: Evaluated, folder: Path) -> Path:
    """Writes the report to `folder` and returns its page; raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in report_files(found).items():
        draft = folder / f"{name}.part"
        draft.write_bytes(content)
        draft.replace(folder / name)
    return folder / PAGE
