"""A bench as a document for machines and as tables for people."""

from parfocal.bench.reports.document import Document, document, hardware_document, need_document
from parfocal.bench.reports.sections import Section
from parfocal.bench.reports.table import bench_sections, hardware_text

__all__ = [
    "Document",
    "Section",
    "bench_sections",
    "document",
    "hardware_document",
    "hardware_text",
    "need_document",
]
