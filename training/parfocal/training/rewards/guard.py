"""Asks rewards within a time limit, and takes nothing but finite numbers. A failure is never a zero."""

import math
import threading
from collections.abc import Callable, Sequence

from parfocal.training.errors import MetricFailed, RewardFailed
from parfocal.training.rewards.attempts import Attempt, Reward
from parfocal.training.rewards.scorer import AdapterReward


class GuardedRewards:
    """Several rewards, whose sum counts. Each has `seconds` for a batch of attempts."""

    def __init__(self, rewards: Sequence[Reward], seconds: float) -> None:
        self.names = [reward.name for reward in rewards]
        self._rewards = rewards
        self._seconds = seconds

    def table(self, attempts: Sequence[Attempt]) -> list[list[float]]:
        """For each attempt a number from each reward.

        Raises:
            RewardFailed: a reward raised, took too long, or gave anything but finite numbers.
        """
        columns = [self._column(reward, attempts) for reward in self._rewards]
        return [list(row) for row in zip(*columns, strict=True)]

    def close(self) -> None:
        """Gives back what rewards hold, such as an engine; nothing is asked after it."""
        for reward in self._rewards:
            if isinstance(reward, AdapterReward):
                reward.close()

    def sums(self, attempts: Sequence[Attempt]) -> list[float]:
        """For each attempt the sum of its rewards; raises RewardFailed."""
        return [sum(row) for row in self.table(attempts)]

    def _column(self, reward: Reward, attempts: Sequence[Attempt]) -> Sequence[float]:
        scores = _within(self._seconds, reward.name, lambda: reward.scores(attempts))
        if len(scores) != len(attempts):
            raise RewardFailed(
                f"reward {reward.name} gave {len(scores)} numbers for {len(attempts)} answers",
                field="rewards",
            )
        for score, attempt in zip(scores, attempts, strict=True):
            if not isinstance(score, int | float) or not math.isfinite(score):
                raise RewardFailed(
                    f"reward {reward.name} gave {str(score)[:80]!a} for an answer to {attempt.place}; give a "
                    "finite number or a bool",
                    field="rewards",
                )
        return [float(score) for score in scores]


def _within(seconds: float, name: str, ask: Callable[[], Sequence[float]]) -> Sequence[float]:
    """What `ask` returns within the time; nobody can end a thread, so one that hangs is left behind."""
    found: list[Sequence[float]] = []
    raised: list[Exception | SystemExit] = []

    def work() -> None:
        try:
            found.append(list(ask()))
        except (Exception, SystemExit) as error:  # foreign code; told to whoever waits
            raised.append(error)

    thread = threading.Thread(target=work, name="parfocal-reward", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise RewardFailed(
            f"reward {name} took more than {seconds:g} seconds; mend it, or give it longer with "
            "--reward-seconds",
            field="rewards",
        )
    if raised:
        (error,) = raised
        if isinstance(error, RewardFailed | MetricFailed):
            raise error
        raise RewardFailed(
            f"reward {name} raised {type(error).__name__}: {str(error)[:200]}", field="rewards"
        ) from error
    return found[0]
