"""KTO on judged answers in tokens: TRL's loss, strangers of other prompts, classes that weigh the same."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl.trainer.kto_trainer import KTOTrainer

from fakes.methods.method_rig import PROMPT, MakeRig, answers, judged, moved
from parfocal.training.data import Judged
from parfocal.training.methods.adapter import adapter_weights, set_adapter_weights
from parfocal.training.methods.preferences.kto import class_weights, strangers
from parfocal.training.methods.preferences.measures import JudgedMeasure, placements

STEPS = {"steps": 4, "learning_rate": 5e-3, "method": "kto"}


def test_the_loss_is_that_of_trl(make_rig: MakeRig) -> None:
    rig = make_rig(judged(12), **STEPS)
    set_adapter_weights(rig.model, moved(adapter_weights(rig.model), 0.3))
    rig.model.train()
    batch = rig.batch(size=6)
    batch["ref_KL_logps"] -= 3
    ours = rig.trainer.compute_loss(rig.model, dict(batch))
    theirs: torch.Tensor = KTOTrainer.compute_loss(rig.trainer, rig.model, dict(batch))  # type: ignore[no-untyped-call]

    assert len(set(batch["label"].tolist())) == 2
    assert rig.trainer._metrics["train"]["kl"] > [0.1]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_desirable_answers_become_likelier_than_the_others(make_rig: MakeRig) -> None:
    rows = judged(12)
    rig = make_rig(rows, **STEPS | {"steps": 12, "learning_rate": 1e-2})
    measure = JudgedMeasure(rows, 4, 0, 0.1)
    base = measure.refer(rig.model)
    rig.run()
    trained = measure.score(rig.model)

    assert base.loss == pytest.approx(0.5)
    assert trained.loss < 0.45
    assert trained.figures["margin"] > base.figures["margin"] + 1
    assert trained.figures["preference_accuracy"] > base.figures["preference_accuracy"]


def test_the_same_seed_gives_the_same_bits(make_rig: MakeRig) -> None:
    first, second = (make_rig(judged(12), **STEPS).run() for _ in range(2))

    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_stranger_answers_another_prompt_and_is_the_same_every_time() -> None:
    samples = answers(8)
    twins = [*samples, *(replace(sample, row=replace(sample.row, line=99)) for sample in samples)]
    found = strangers(twins, 0, 100)

    assert found == strangers(twins, 0, 100)
    assert found != strangers(twins, 1, 100)
    for sample, stranger in zip(twins, found, strict=True):
        assert stranger.ids[:PROMPT] == sample.ids[:PROMPT]
        assert stranger.ids[PROMPT:] != sample.ids[PROMPT:]
        assert stranger.labels[PROMPT:] == stranger.ids[PROMPT:]


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_both_kinds_weigh_the_same_and_neither_less_than_it_did(desirable: list[bool]) -> None:
    good, bad = class_weights(desirable)
    count = sum(desirable)

    assert min(good, bad) == 1.0
    if 0 < count < len(desirable):
        assert good * count == pytest.approx(bad * (len(desirable) - count))


def test_how_often_desirable_answers_are_likelier_is_the_area_under_the_curve() -> None:
    signs, values = [1.0, 1.0, -1.0, -1.0], [4.0, 1.0, 2.0, 1.0]
    found = placements(signs, values)

    assert sum(found) / 4 == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert placements([1.0, 1.0], [1.0, 2.0]) == (0.5, 0.5)


def test_a_margin_is_the_difference_of_the_two_means(make_rig: MakeRig) -> None:
    rows = [Judged(answer, at < 2) for at, answer in enumerate(answers(6))]
    rig = make_rig(rows, **STEPS)
    measure = JudgedMeasure(rows, 4, 0, 0.1)
    marks = measure.refer(rig.model)
    scores = rig.method.beginning["answers"]  # type: ignore[attr-defined]

    assert marks.figures["margin"] == pytest.approx(sum(scores[:2]) / 2 - sum(scores[2:]) / 4, rel=1e-5)
