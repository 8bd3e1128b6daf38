"""A metric of the user's own: a Python function."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from parfocal.training.errors import MetricFailed
from parfocal.training.metrics.answers import Answer, Scores
from parfocal.training.own_functions import function_at


@dataclass(frozen=True, slots=True)
class CustomMetric:
    """Calls `function(prompt, written, true)` for each answer; it returns a number or a bool."""

    function: Callable[[str, str, str], float]
    leading: str

    @classmethod
    def of(cls, place: str) -> "CustomMetric":
        """The function at `module:function`; raises InvalidConfig."""
        return cls(function_at(place, "metric", "metric"), place.partition(":")[2])

    def scores(self, answers: Sequence[Answer]) -> Scores:
        """What the function returns for each answer; raises MetricFailed."""
        return Scores({self.leading: [self._score(at, answer) for at, answer in enumerate(answers, start=1)]})

    def _score(self, number: int, answer: Answer) -> float:
        try:
            score = self.function(answer.prompt, answer.written, answer.true)
        except (Exception, SystemExit) as error:  # the user's own code, which may mean to end the process
            raise MetricFailed(
                f"metric {self.leading} raised {type(error).__name__} on answer {number}: {str(error)[:200]}",
                field="metric",
            ) from error
        if not isinstance(score, int | float) or not math.isfinite(score):
            raise MetricFailed(
                f"metric {self.leading} returned {str(score)[:80]} for answer {number}; return a finite "
                "number or a bool",
                field="metric",
            )
        return float(score)
