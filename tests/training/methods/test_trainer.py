"""One training step: TRL's loss over answers alone, in float32, with gradients down to the first layer."""

from array import array
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback
from trl.trainer.sft_trainer import SFTTrainer

from oracle.bases import configurations, write_base
from parfocal.engine import quiet_libraries
from parfocal.training import TrainConfig
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.rendering import MASKED, Sample
from parfocal.training.data.rows import Row, Turn
from parfocal.training.evaluation.held_out import HeldOut, padded
from parfocal.training.evaluation.loss import answer_logits
from parfocal.training.hyperparameters import DataFacts, base_facts, choose
from parfocal.training.methods.adapter import Device, adapter_weights, add_adapter, load_base
from parfocal.training.methods.order import row_order
from parfocal.training.methods.ordered import run_trainer
from parfocal.training.methods.schedule import Schedule
from parfocal.training.methods.trainer import AnswerTrainer, arguments, build_trainer

CPU = Device(torch.device("cpu"), torch.float32)


def samples(count: int, seed: int = 0) -> list[Sample]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for line in range(count):
        ids = torch.randint(3, 250, (12 + line % 5,), generator=generator).tolist()
        row = Row("d", line, (Turn("user", "p"), Turn("assistant", "a", learn=True)), raw=True)
        made.append(Sample(row, array("i", ids), array("i", [MASKED] * 7 + ids[7:])))
    return made


class Rig:
    """A model on the small base with a trainer over random rows."""

    def __init__(self, base: Path, folder: Path, callback: TrainerCallback | None = None, **settings: Any):
        config = TrainConfig(data=Path("d"), name="n", **({"steps": 6, "batch_size": 4} | settings))
        facts = base_facts(base)
        self.hyperparameters = choose(config, DataFacts(16, 16, 100), facts)
        with quiet_libraries():
            self.model = add_adapter(
                load_base(base, facts, self.hyperparameters, CPU), config, self.hyperparameters
            )
            self.trainer: AnswerTrainer = build_trainer(
                self.model,
                BaseEncoder(base).tokenizer,
                samples(16),
                arguments(config, self.hyperparameters, folder, CPU.device),
                callback or TrainerCallback(),
            )
            self.trainer.schedule = Schedule(self.hyperparameters)

    def run(self) -> dict[str, torch.Tensor]:
        with quiet_libraries():
            run_trainer(self.trainer, None)
        return adapter_weights(self.model)


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class ScoreEveryStep(TrainerCallback):
    """Scores held-out rows before every step but the first, as a run does between its steps."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self._held_out = HeldOut(samples(6, seed=1), 4, 0, CPU.device)

    def on_step_end(self, *_: Any, **kwargs: Any) -> None:
        self.losses.append(self._held_out.score(kwargs["model"]).loss)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_scoring_between_steps_does_not_change_one_bit_of_the_adapter(
    base_folder: Path, tmp_path: Path, dropout: float
) -> None:
    scores = ScoreEveryStep()
    watched = Rig(base_folder, tmp_path, scores, dropout=dropout).run()

    assert equal(watched, Rig(base_folder, tmp_path, dropout=dropout).run())
    assert len(set(scores.losses)) == 6


def test_gradients_reach_the_first_layer_after_scoring(base_folder: Path, tmp_path: Path) -> None:
    def gradients(score_first: bool) -> dict[str, torch.Tensor]:
        rig = Rig(base_folder, tmp_path)
        rig.run()
        if score_first:
            HeldOut(samples(6, seed=1), 4, 0, CPU.device).score(rig.model)
        rig.model.train()
        answer_logits(rig.model, padded(samples(4), 0, CPU.device)).losses().mean().backward()
        return {name: p.grad for name, p in rig.model.named_parameters() if p.grad is not None}

    found = gradients(score_first=True)

    assert equal(found, gradients(score_first=False))
    assert all(float(g.abs().max()) > 0 for name, g in found.items() if ".layers.0." in name)
    assert sum(".layers.0." in name for name in found) == 14


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(
    base_folder: Path, tmp_path: Path
) -> None:
    first = Rig(base_folder, tmp_path).run()

    assert equal(first, Rig(base_folder, tmp_path).run())
    assert not equal(first, Rig(base_folder, tmp_path, seed=1).run())


def test_a_step_in_parts_is_the_step_as_a_whole(base_folder: Path, tmp_path: Path) -> None:
    whole = Rig(base_folder, tmp_path, steps=1).run()
    parts = Rig(base_folder, tmp_path, steps=1, micro_batch=1).run()

    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-3, atol=2e-6)


def test_the_adapter_is_trained_in_float32(base_folder: Path, tmp_path: Path) -> None:
    rig = Rig(base_folder, tmp_path)
    fresh = adapter_weights(rig.model)

    assert {p.dtype for p in rig.model.parameters() if p.requires_grad} == {torch.float32}
    assert any(not torch.equal(tensor, tensor.bfloat16().float()) for tensor in fresh.values())


def test_every_row_is_learnt_whole_and_in_the_order_laid_out(
    base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(base_folder, tmp_path, steps=4)
    seen: list[list[int]] = []

    original = rig.trainer.compute_loss

    def watch(model: Any, inputs: dict[str, torch.Tensor], *rest: Any, **named: Any) -> Any:
        for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True):
            seen.append(ids[mask.bool()].tolist())
        return original(model, inputs, *rest, **named)

    monkeypatch.setattr(rig.trainer, "compute_loss", watch)
    rig.run()

    rows = samples(16)
    order = row_order([len(row.ids) for row in rows], batch_size=4, steps=4, seed=0)
    assert seen == [rows[index].ids.tolist() for index in order]


@pytest.mark.parametrize("architecture", sorted(configurations()))
def test_the_loss_is_that_of_trl_for_every_supported_base(architecture: str, tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", configurations()[architecture])
    rig = Rig(base, tmp_path, rank=4)
    batch = padded(samples(4), 0, CPU.device)
    rig.model.train()
    ours = rig.trainer.compute_loss(rig.model, dict(batch))
    theirs: torch.Tensor = SFTTrainer.compute_loss(rig.trainer, rig.model, dict(batch))  # type: ignore[no-untyped-call]

    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_what_the_prompt_says_does_not_count_as_an_answer(base_folder: Path, tmp_path: Path) -> None:
    rig = Rig(base_folder, tmp_path)
    batch = padded(samples(4), 0, CPU.device)
    learnt = answer_logits(rig.model, batch)

    assert learnt.targets.tolist() == [t for s in samples(4) for t in s.ids.tolist()[7:]]
    torch.testing.assert_close(rig.trainer.compute_loss(rig.model, dict(batch)), learnt.losses().mean())
