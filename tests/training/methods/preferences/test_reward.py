"""Rewards read off the base's own head: TRL's loss, and a score that serving can read too."""

from typing import Any

import torch
from trl.trainer.reward_trainer import RewardTrainer

from fakes.methods.method_rig import MakeRig, answers, moved, pairs
from parfocal.training.data import BaseEncoder
from parfocal.training.methods.adapter import adapter_weights, set_adapter_weights
from parfocal.training.methods.preferences.reward import Readout, ScoreMeasure, scores_of

STEPS = {"steps": 4, "learning_rate": 5e-3, "method": "reward"}


class OneOutput(torch.nn.Module):
    """A model of rewards as TRL knows them: its only logit is the score."""

    def __init__(self, readout: Readout, model: Any) -> None:
        super().__init__()
        self._readout = readout
        self._model = model

    def forward(self, use_cache: bool, **batch: torch.Tensor) -> Any:
        """The scores, as a column."""
        return type("Output", (), {"logits": self._readout.scores(self._model, batch)[:, None]})


def test_the_loss_is_that_of_trl(make_rig: MakeRig) -> None:
    rig = make_rig(pairs(8), **STEPS)
    rig.model.train()
    ours = rig.trainer.compute_loss(rig.model, rig.batch())
    one = OneOutput(rig.trainer.readout, rig.model)
    theirs: torch.Tensor = RewardTrainer.compute_loss(rig.trainer, one, rig.batch())  # type: ignore[no-untyped-call]

    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


def test_a_score_is_what_the_next_token_s_probabilities_say(make_rig: MakeRig) -> None:
    rig = make_rig(pairs(8), **STEPS)
    set_adapter_weights(rig.model, moved(adapter_weights(rig.model), 0.1))
    readout: Readout = rig.trainer.readout
    samples = answers(3)
    found = scores_of(rig.model, readout, samples, 2, 0)
    rig.model.eval()
    for sample, score in zip(samples, found, strict=True):
        with torch.no_grad():
            logs = rig.model(input_ids=torch.tensor([sample.ids.tolist()])).logits[0, -1].log_softmax(-1)
        expected = logs[readout.good] - logs[readout.bad]
        torch.testing.assert_close(torch.tensor(score), expected, rtol=1e-4, atol=1e-5)


def test_preferred_answers_come_to_score_higher(make_rig: MakeRig) -> None:
    rows = pairs(8)
    rig = make_rig(rows, **STEPS | {"steps": 12})
    measure = ScoreMeasure(rows, 4, BaseEncoder(rig.base))
    base = measure.refer(rig.model)
    rig.run()
    trained = measure.score(rig.model)

    assert trained.loss < base.loss - 0.1
    assert trained.figures["margin"] > base.figures["margin"] + 0.3
    assert trained.figures["pair_accuracy"] > base.figures["pair_accuracy"]


def test_nothing_but_lora_is_learnt(make_rig: MakeRig) -> None:
    rig = make_rig(pairs(8), **STEPS)

    assert all(".lora_" in name for name, p in rig.model.named_parameters() if p.requires_grad)
    assert not any("modules_to_save" in name for name, _ in rig.model.named_modules())
