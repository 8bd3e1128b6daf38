"""Rows: read, checked, rendered to tokens and split, before any model loads. No torch."""

from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.learnable import Judged, Learnable, Pair, Question
from parfocal.training.data.masks import MaskedRow, State, masked
from parfocal.training.data.prepare import Prepared, base_encoder, prepare
from parfocal.training.data.reading import is_of_hub
from parfocal.training.data.rendering import MASKED, RenderFault, Sample, prompt_ids, render
from parfocal.training.data.rows import Example, PreferenceRow, PromptRow, Row, Turn, UnpairedRow, row_of
from parfocal.training.data.split import Shares, Split, parted, split
from parfocal.training.data.tokenising import learnt_tokens
from parfocal.training.data.tokens import Tokenised, cut, tokenise
from parfocal.training.data.views import METHOD_VIEWS, VIEWS, ReadRows, read_rows

__all__ = [
    "MASKED",
    "METHOD_VIEWS",
    "VIEWS",
    "BaseEncoder",
    "Example",
    "Judged",
    "Learnable",
    "MaskedRow",
    "Pair",
    "PreferenceRow",
    "Prepared",
    "PromptRow",
    "Question",
    "ReadRows",
    "RenderFault",
    "Row",
    "Sample",
    "Shares",
    "Split",
    "State",
    "Tokenised",
    "Turn",
    "UnpairedRow",
    "base_encoder",
    "cut",
    "is_of_hub",
    "learnt_tokens",
    "masked",
    "parted",
    "prepare",
    "prompt_ids",
    "read_rows",
    "render",
    "row_of",
    "split",
    "tokenise",
]
