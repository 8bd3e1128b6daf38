"""Which reward a word on the command line means."""

from collections.abc import Sequence
from pathlib import Path

from parfocal.registry import BaseContract, Registry
from parfocal.training.errors import InvalidConfig
from parfocal.training.rewards.attempts import Reward
from parfocal.training.rewards.functions import FunctionReward
from parfocal.training.rewards.graders import read_grader
from parfocal.training.rewards.guard import GuardedRewards
from parfocal.training.rewards.measured import MeasuredReward
from parfocal.training.rewards.scorer import PREFIX, AdapterReward, Bench, reward_version

REWARDS = (
    "exact, label, rouge, json, json=SCHEMA.json, regex=PATTERN, judge=URL#MODEL, grader=FILE.json, "
    "adapter:NAME@VERSION or module:function"
)
_MEASURED = ("exact", "label", "rouge", "json", "regex", "judge")


def reward_named(text: str, bench: Bench | None = None) -> Reward:
    """The reward that people write so; raises InvalidConfig where there is none.

    Adapters score at the `bench`; raises RegistryError where one does not exist.
    """
    if text.startswith(PREFIX):
        if bench is None:
            raise InvalidConfig(f"reward {text[:80]!a} is an adapter, and no base is there for it")
        return AdapterReward(text, bench)
    kind, equals, value = text.partition("=")
    if kind in _MEASURED:
        return MeasuredReward.of(text)
    if kind == "grader" and value:
        return read_grader(Path(value).expanduser())
    if not equals and ":" in text:
        return FunctionReward.of(text)
    raise InvalidConfig(f"reward {text[:80]!a} is none; write {REWARDS}", field="rewards")


def guarded_rewards(texts: Sequence[str], seconds: float, bench: Bench | None = None) -> GuardedRewards:
    """All of these rewards, guarded; raises as `reward_named`."""
    return GuardedRewards([reward_named(text, bench) for text in texts], seconds)


def check_rewards(texts: Sequence[str], contract: BaseContract, registry: Registry | None) -> None:
    """Refuses rewards that there are not, and adapters that are no rewards; raises as `reward_named`."""
    for text in texts:
        if text.startswith(PREFIX):
            reward_version(text, contract, registry)
        else:
            reward_named(text)
