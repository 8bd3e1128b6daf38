"""DPO on pairs in tokens: TRL's loss, against what the adapter began with, and the same bits every time."""

import math
from typing import Any

import pytest
import torch
from trl.trainer.dpo_trainer import DPOTrainer

from fakes.methods.method_rig import MakeRig, moved, pairs
from parfocal.training.methods.adapter import adapter_weights, set_adapter_weights
from parfocal.training.methods.preferences.measures import PairMeasure

STEPS = {"steps": 4, "learning_rate": 5e-3, "method": "dpo"}


def test_the_loss_is_that_of_trl(make_rig: MakeRig) -> None:
    rig = make_rig(pairs(8), **STEPS)
    set_adapter_weights(rig.model, moved(adapter_weights(rig.model)))
    rig.model.train()
    ours = rig.trainer.compute_loss(rig.model, rig.batch())
    theirs: torch.Tensor = DPOTrainer.compute_loss(rig.trainer, rig.model, rig.batch())  # type: ignore[no-untyped-call]

    assert abs(float(ours.detach()) - math.log(2)) > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_what_it_is_held_against_is_what_trl_would_compute(make_rig: MakeRig) -> None:
    rig = make_rig(pairs(8), **STEPS)
    batch = rig.batch()
    chosen, rejected = DPOTrainer.compute_ref_log_probs(rig.trainer, rig.model, dict(batch))  # type: ignore[no-untyped-call]

    torch.testing.assert_close(batch["ref_chosen_logps"], chosen, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(batch["ref_rejected_logps"], rejected, rtol=1e-5, atol=1e-4)


def test_the_first_loss_of_an_adapter_that_goes_on_is_ln_2(make_rig: MakeRig) -> None:
    rig = make_rig(pairs(8), **STEPS)
    rig.model.train()
    set_adapter_weights(rig.model, moved(adapter_weights(rig.model)))
    before = float(rig.trainer.compute_loss(rig.model, rig.batch()).detach())
    rig.method.begin(rig.model)
    going_on = rig.build()
    batch = rig.batch(going_on)

    assert abs(before - math.log(2)) > 1e-3
    assert float(going_on.compute_loss(rig.model, batch).detach()) == pytest.approx(math.log(2), abs=1e-6)


def test_what_it_began_with_is_kept_to_the_bit(make_rig: MakeRig, tmp_path: Any) -> None:
    rig = make_rig(pairs(8), **STEPS)
    rig.method.keep(tmp_path)
    first = rig.batch()
    rig.run()
    rig.method.begin(rig.model)
    rig.method.restore(tmp_path)

    assert torch.equal(rig.batch(rig.build())["ref_chosen_logps"], first["ref_chosen_logps"])


def test_the_margin_grows_and_no_copy_of_the_adapter_stays(make_rig: MakeRig) -> None:
    rows = pairs(8)
    rig = make_rig(rows, **STEPS | {"steps": 12})
    measure = PairMeasure(rows, 4, 0, 0.1)
    base = measure.refer(rig.model)
    rig.run()
    trained = measure.score(rig.model)

    assert base.loss == pytest.approx(math.log(2))
    assert trained.loss < base.loss - 0.05
    assert trained.figures["margin"] > base.figures["margin"] + 1
    assert trained.figures["preference_accuracy"] > base.figures["preference_accuracy"]
    assert list(rig.model.peft_config) == ["default"]


def test_the_same_seed_gives_the_same_bits_and_parts_of_a_step_the_same_step(make_rig: MakeRig) -> None:
    first = make_rig(pairs(8), **STEPS).run()
    second = make_rig(pairs(8), **STEPS).run()
    parts = make_rig(pairs(8), **STEPS | {"micro_batch": 1}).run()

    assert all(torch.equal(first[name], second[name]) for name in first)
    for name, tensor in first.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-2, atol=2e-5)
