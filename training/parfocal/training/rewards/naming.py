"""Which reward a word on the command line means."""

from collections.abc import Sequence
from pathlib import Path

from parfocal.training.errors import InvalidConfig
from parfocal.training.rewards.attempts import Reward
from parfocal.training.rewards.functions import FunctionReward
from parfocal.training.rewards.graders import read_grader
from parfocal.training.rewards.guard import GuardedRewards
from parfocal.training.rewards.measured import MeasuredReward

REWARDS = (
    "exact, label, rouge, json, json=SCHEMA.json, regex=PATTERN, judge=URL#MODEL, grader=FILE.json or "
    "module:function"
)
_MEASURED = ("exact", "label", "rouge", "json", "regex", "judge")


def reward_named(text: str) -> Reward:
    """The reward that people write so; raises InvalidConfig where there is none."""
    kind, equals, value = text.partition("=")
    if kind in _MEASURED:
        return MeasuredReward.of(text)
    if kind == "grader" and value:
        return read_grader(Path(value).expanduser())
    if not equals and ":" in text:
        return FunctionReward.of(text)
    raise InvalidConfig(f"reward {text[:80]!a} is none; write {REWARDS}", field="rewards")


def guarded_rewards(texts: Sequence[str], seconds: float) -> GuardedRewards:
    """All of these rewards, guarded; raises InvalidConfig."""
    return GuardedRewards([reward_named(text) for text in texts], seconds)
