"""Asks a server over gRPC for the command, and waits until one serves. Knows no terminal."""

from parfocal.cli.asking.calls import Question, answer_as_it_comes, answers
from parfocal.cli.asking.waiting import Patience, wait_until_serving

__all__ = ["Patience", "Question", "answer_as_it_comes", "answers", "wait_until_serving"]
