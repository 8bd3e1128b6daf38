"""Rows: read, checked, rendered to tokens and split, before any model loads. No torch."""

from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.prepare import Prepared, prepare
from parfocal.training.data.reading import is_of_hub
from parfocal.training.data.rendering import MASKED, Sample, prompt_ids, render
from parfocal.training.data.rows import Example, PreferenceRow, PromptRow, Row, Turn, UnpairedRow, row_of
from parfocal.training.data.split import Shares, Split, parted, split
from parfocal.training.data.tokens import Tokenised, cut, tokenise
from parfocal.training.data.views import METHOD_VIEWS, VIEWS, ReadRows, read_rows

__all__ = [
    "MASKED",
    "METHOD_VIEWS",
    "VIEWS",
    "BaseEncoder",
    "Example",
    "PreferenceRow",
    "Prepared",
    "PromptRow",
    "ReadRows",
    "Row",
    "Sample",
    "Shares",
    "Split",
    "Tokenised",
    "Turn",
    "UnpairedRow",
    "cut",
    "is_of_hub",
    "parted",
    "prepare",
    "prompt_ids",
    "read_rows",
    "render",
    "row_of",
    "split",
    "tokenise",
]
