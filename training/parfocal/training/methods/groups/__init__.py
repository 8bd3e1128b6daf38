"""Learning from rewards of own answers, compared within groups (`grpo`)."""

from parfocal.training.methods.groups.grpo import Rewarded
from parfocal.training.methods.groups.measure import RewardMeasure

__all__ = ["RewardMeasure", "Rewarded"]
