"""An evaluation as a report: a page of its own in HTML, Markdown, and JSON for machines. No torch."""

from parfocal.training.reports.document import document
from parfocal.training.reports.folder import DOCUMENT, PAGE, report_files, write_report

__all__ = ["DOCUMENT", "PAGE", "document", "report_files", "write_report"]
