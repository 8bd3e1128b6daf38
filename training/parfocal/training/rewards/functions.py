"""A reward of the user's own: a Python function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from parfocal.registry.values import JSON
from parfocal.training.errors import RewardFailed
from parfocal.training.own_functions import function_at
from parfocal.training.rewards.attempts import Attempt

Function = Callable[[str, str, Mapping[str, JSON]], float]


@dataclass(frozen=True, slots=True)
class FunctionReward:
    """Calls `function(prompt, answer, item)` for each attempt; it returns a number or a bool."""

    name: str
    function: Function

    @classmethod
    def of(cls, place: str) -> "FunctionReward":
        """The function at `module:function`; raises InvalidConfig."""
        return cls(place, function_at(place, "reward", "rewards"))

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float]:
        """What the function returns for each."""
        return [self._score(attempt) for attempt in attempts]

    def _score(self, attempt: Attempt) -> float:
        try:
            return self.function(attempt.prompt, attempt.answer, attempt.item)
        except (Exception, SystemExit) as error:  # the user's own code, which may mean to end the process
            raise RewardFailed(
                f"reward {self.name} raised {type(error).__name__} on an answer to {attempt.place}: "
                f"{str(error)[:200]}",
                field="rewards",
            ) from error
