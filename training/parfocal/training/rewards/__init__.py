"""What answers are rewarded for: metrics, functions, OpenAI's graders, each within a time. No torch."""

from parfocal.training.rewards.attempts import Attempt, Reward
from parfocal.training.rewards.guard import GuardedRewards
from parfocal.training.rewards.naming import REWARDS, check_rewards, guarded_rewards, reward_named
from parfocal.training.rewards.scorer import PREFIX, Bench

__all__ = [
    "PREFIX",
    "REWARDS",
    "Attempt",
    "Bench",
    "GuardedRewards",
    "Reward",
    "check_rewards",
    "guarded_rewards",
    "reward_named",
]
