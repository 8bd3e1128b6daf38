"""Answers that equal the true one, or match a pattern."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.training.errors import InvalidConfig
from parfocal.training.metrics.answers import Answer, Scores

EXACT = "exact_match"


@dataclass(frozen=True, slots=True)
class ExactMatch:
    """Right in every character, outer spaces aside."""

    leading: str = EXACT

    def scores(self, answers: Sequence[Answer]) -> Scores:
        """1 for an answer that equals the true one."""
        return Scores({EXACT: [float(is_exact(answer)) for answer in answers]})


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """Matches a regular expression as a whole, outer spaces aside."""

    pattern: re.Pattern[str]
    leading: str = "regex_match"

    @classmethod
    def of(cls, pattern: str) -> "PatternMatch":
        """The metric of a pattern; raises InvalidConfig where it is none."""
        try:
            return cls(re.compile(pattern, re.DOTALL))
        except re.error as error:
            raise InvalidConfig(
                f"metric regex={pattern[:80]!a} is no regular expression: {error}", field="metric"
            ) from error

    def scores(self, answers: Sequence[Answer]) -> Scores:
        """1 for an answer that matches."""
        found = (self.pattern.fullmatch(answer.written.strip()) for answer in answers)
        return Scores({self.leading: [float(match is not None) for match in found]})


def is_exact(answer: Answer) -> bool:
    """Whether the answer equals the true one, outer spaces aside."""
    return answer.written.strip() == answer.true.strip()
