"""Data files of every kind as objects with line numbers, one after the other, in bounded memory."""

from parfocal.training.data.reading.locating import is_of_hub, located
from parfocal.training.data.reading.opening import STANDARD_INPUT, DataStream, Progress
from parfocal.training.data.reading.records import Line, records_of
from parfocal.training.data.reading.sniffing import Container

__all__ = [
    "STANDARD_INPUT",
    "Container",
    "DataStream",
    "Line",
    "Progress",
    "is_of_hub",
    "located",
    "records_of",
]
