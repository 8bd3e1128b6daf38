"""Formats of rows: which one a row is written in, and the row as a value, whatever its format."""

from parfocal.training.data.formats.detection import Format
from parfocal.training.data.formats.examples import Columns, ExampleReader, finding_of
from parfocal.training.data.formats.faults import RowFault

__all__ = ["Columns", "ExampleReader", "Format", "RowFault", "finding_of"]
