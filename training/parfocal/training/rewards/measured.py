"""Task metrics as rewards: exact match, JSON by schema, regular expressions, ROUGE, labels, a judge."""

from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.training.errors import RewardFailed
from parfocal.training.metrics import Answer, Metric, metric_named
from parfocal.training.rewards.attempts import Attempt

REFERENCES = ("reference_answer", "reference", "answer", "completion", "solution", "ground_truth", "label")
# The figure of a metric that rewards use where it is not the leading one; and who needs no true answer.
_FIGURES = {"json": "json_valid"}
_ALONE = frozenset({"json", "regex"})


@dataclass(frozen=True, slots=True)
class MeasuredReward:
    """A metric's figure for each answer."""

    name: str
    metric: Metric

    @classmethod
    def of(cls, text: str) -> "MeasuredReward":
        """The reward of a metric that is written so; raises InvalidConfig."""
        return cls(text, metric_named(text))

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float]:
        """The figure of each attempt."""
        kind = self.name.partition("=")[0]
        answers = [
            Answer(attempt.prompt, attempt.answer, "" if kind in _ALONE else self._true(attempt))
            for attempt in attempts
        ]
        found = self.metric.scores(answers)
        return found.means[_FIGURES.get(kind, self.metric.leading)]

    def _true(self, attempt: Attempt) -> str:
        for name in REFERENCES:
            value = attempt.item.get(name)
            if value is not None:
                return value if isinstance(value, str) else str(value)
        raise RewardFailed(
            f"reward {self.name} compares with a true answer, and {attempt.place} has none; give the rows "
            f"one of {', '.join(REFERENCES)}",
            field="rewards",
        )
