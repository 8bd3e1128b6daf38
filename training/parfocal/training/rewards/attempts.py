"""What a reward is given, and what it gives back. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from parfocal.registry.values import JSON
from parfocal.training.data import Row


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a model wrote to a prompt; `item` is the prompt's row, `place` where that is, for messages.

    `row` is the prompt itself, where whoever asks has it.
    """

    answer: str
    item: Mapping[str, JSON]
    place: str
    row: Row | None = None

    @property
    def prompt(self) -> str:
        """The prompt's last message."""
        return str(self.item.get("prompt", ""))


class Reward(Protocol):
    """Says how good answers are: any finite number, the higher the better."""

    @property
    def name(self) -> str: ...

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float]:
        """A number for each attempt; raises RewardFailed or MetricFailed where there is none."""
        ...
