"""What a metric is given and what it gives back. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from parfocal.training.intervals import Measure


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote to a prompt, and what it should have written."""

    prompt: str
    written: str
    true: str


@dataclass(frozen=True, slots=True)
class Scores:
    """A metric's figures of one model's answers, by name.

    `means` have a score from 0 to 1 for each answer, in order; `wholes` are figures that are no mean.
    """

    means: Mapping[str, Sequence[float]]
    wholes: Mapping[str, Measure] = field(default_factory=dict)


class Metric(Protocol):
    """Judges answers. `leading` is the figure that tells whether an answer is right: 1 where it is."""

    @property
    def leading(self) -> str: ...

    def scores(self, answers: Sequence[Answer]) -> Scores:
        """The figures of these answers; raises MetricFailed where there is none."""
        ...
