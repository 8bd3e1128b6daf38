"""Which method a run has, and what its rows are marked by."""

from collections.abc import Sequence
from typing import Any, cast

from parfocal.training.data import Learnable
from parfocal.training.evaluation import HeldOut
from parfocal.training.methods.groups import Rewarded, RewardMeasure
from parfocal.training.methods.method import Measure, Method, Setting
from parfocal.training.methods.preferences import (
    JudgedMeasure,
    Judgement,
    PairMeasure,
    Preference,
    ScoreMeasure,
    Scoring,
)
from parfocal.training.methods.supervised import Supervised
from parfocal.training.rewards import guarded_rewards

_METHODS: dict[str, Any] = {
    "sft": Supervised,
    "text": Supervised,
    "dpo": Preference,
    "kto": Judgement,
    "reward": Scoring,
    "grpo": Rewarded,
}


def method_of(setting: Setting, train: Sequence[Learnable]) -> Method:
    """The method that the settings name, for the rows to learn, which were made for it."""
    method: Method = _METHODS[setting.config.method](setting, train)
    return method


def measure_of(setting: Setting, rows: Sequence[Learnable]) -> Measure:
    """What marks a model on `rows` by what the method is meant to improve."""
    of = cast(Any, rows)
    it = setting.hyperparameters
    pad = setting.encoder.pad_id
    name = setting.config.method
    if name == "dpo":
        return PairMeasure(of, it.micro_batch, pad, it.beta)
    if name == "kto":
        return JudgedMeasure(of, it.micro_batch, pad, it.beta)
    if name == "reward":
        return ScoreMeasure(of, it.micro_batch, setting.encoder)
    if name == "grpo":
        rewards = setting.rewards or guarded_rewards(setting.config.rewards, setting.config.reward_seconds)
        at_once = it.micro_batch * it.generations
        return RewardMeasure(of, rewards, setting.encoder, it.answer_tokens, at_once)
    return HeldOut(of, it.micro_batch, pad, setting.device)
