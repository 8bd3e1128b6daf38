"""A process of its own for what others have written and may loop for ever or exhaust memory."""

from parfocal.engine.isolation.answering import answer_lines
from parfocal.engine.isolation.isolated_process import IsolatedProcess

__all__ = [
    "IsolatedProcess",
    "answer_lines",
]
