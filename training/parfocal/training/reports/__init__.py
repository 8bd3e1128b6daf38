"""An evaluation as a page of its own in HTML, as Markdown and JSON; a search as a page. No torch."""

from parfocal.training.reports.document import document
from parfocal.training.reports.folder import DOCUMENT, PAGE, report_files, write_report
from parfocal.training.reports.search import search_page

__all__ = ["DOCUMENT", "PAGE", "document", "report_files", "search_page", "write_report"]
