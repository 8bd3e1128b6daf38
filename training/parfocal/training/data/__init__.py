"""Rows: read, checked, rendered to tokens and split, before any model loads. No torch."""

from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.prepare import Prepared, prepare
from parfocal.training.data.rendering import MASKED, Sample, prompt_ids

__all__ = [
    "MASKED",
    "BaseEncoder",
    "Prepared",
    "Sample",
    "prepare",
    "prompt_ids",
]
