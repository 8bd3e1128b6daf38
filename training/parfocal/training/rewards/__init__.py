"""What answers are rewarded for: metrics, functions, OpenAI's graders, each within a time. No torch."""

from parfocal.training.rewards.attempts import Attempt, Reward
from parfocal.training.rewards.guard import GuardedRewards
from parfocal.training.rewards.naming import REWARDS, guarded_rewards, reward_named

__all__ = [
    "REWARDS",
    "Attempt",
    "GuardedRewards",
    "Reward",
    "guarded_rewards",
    "reward_named",
]
