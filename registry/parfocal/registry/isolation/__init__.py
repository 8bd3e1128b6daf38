"""Processes of their own for work that strangers can make long: bounded, replaced when they go too far."""

from parfocal.registry.isolation.answering import answer_questions
from parfocal.registry.isolation.process import Bounds, IsolatedProcess, OutOfBounds, ProcessFailed

__all__ = [
    "Bounds",
    "IsolatedProcess",
    "OutOfBounds",
    "ProcessFailed",
    "answer_questions",
]
