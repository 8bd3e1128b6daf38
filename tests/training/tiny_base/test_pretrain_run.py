"""Pre-training as a whole, at a toy size: finite, resumable to the bit, and readable by transformers."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tiny_base.__main__ import main
from tiny_base.checkpoint import ResumeError
from tiny_base.export import load_weights
from tiny_base.loop import Pretraining
from tiny_base.network import Network, Shape
from tiny_base.optimiser import Schedule
from tiny_base.settings import smoke


class Silent:
    """Keeps the losses it is told about."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def step(self, step: int, loss: float, tokens_per_second: float) -> None:
        self.losses.append(loss)

    def note(self, text: str) -> None:
        pass


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    Pretraining(smoke(3, seed=1), folder, Silent()).run()
    return folder


def test_a_short_run_learns_without_a_nan(tmp_path: Path) -> None:
    told = Silent()
    settings = smoke(8, seed=2)
    scores = Pretraining(settings, tmp_path, told).run()
    assert len(told.losses) == settings.last_step == 9
    assert all(math.isfinite(loss) for loss in told.losses)
    assert told.losses[-1] < told.losses[0]
    assert math.isfinite(scores["all"].loss)


def test_a_resumed_run_ends_with_the_same_bits(finished: Path, tmp_path: Path) -> None:
    Pretraining(smoke(3, seed=1), tmp_path, Silent()).run(until=2)
    Pretraining(smoke(3, seed=1), tmp_path, Silent(), resume=True).run()
    whole, resumed = (torch.load(folder / "resume.pt")["network"] for folder in (finished, tmp_path))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert (finished / "model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_a_finished_run_is_only_measured_again(finished: Path) -> None:
    before = (finished / "model.safetensors").read_bytes(), (finished / "pretraining.json").read_text()
    told = Silent()
    Pretraining(smoke(3, seed=1), finished, told, resume=True).run()
    assert told.losses == []
    assert before == (
        (finished / "model.safetensors").read_bytes(),
        (finished / "pretraining.json").read_text(),
    )


def test_resuming_with_other_settings_names_what_differs(finished: Path) -> None:
    with pytest.raises(ResumeError, match="seed"):
        Pretraining(replace(smoke(3, seed=1), seed=9), finished, Silent(), resume=True)


def test_resuming_from_nothing_is_an_error_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--smoke", "--resume", "--out", str(tmp_path)]) == 1
    assert "start without --resume" in capsys.readouterr().err


def test_the_command_writes_a_base_and_its_card(tmp_path: Path) -> None:
    assert main(["--smoke", "--steps", "2", "--out", str(tmp_path)]) == 0
    card = (tmp_path / "README.md").read_text()
    report = json.loads((tmp_path / "pretraining.json").read_text())
    assert f"**{report['held_out']['all']['loss']:.3f}**" in card
    assert "license: apache-2.0" in card


def test_transformers_computes_what_the_trainer_computes(finished: Path) -> None:
    shape = Shape(**json.loads((finished / "pretraining.json").read_text())["settings"]["shape"])
    network = Network(shape, seed=0)
    load_weights(network, finished)
    tokens = AutoTokenizer.from_pretrained(finished)(
        "Hello there, who are you?", return_tensors="pt"
    ).input_ids
    model = AutoModelForCausalLM.from_pretrained(finished, dtype=torch.float32)
    with torch.no_grad():
        ours, theirs = network.logits(network.hidden_states(tokens)), model(input_ids=tokens).logits
    # The trainer multiplies in bf16, transformers here in fp32.
    torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0.02)


def test_the_stored_weights_are_bf16_and_the_embedding_is_stored_once(finished: Path) -> None:
    weights = load_file(finished / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.bfloat16}
    assert "lm_head.weight" not in weights


def test_the_rate_rises_stays_and_falls_to_a_fiftieth() -> None:
    schedule = Schedule(peak=1.0, warm_up=10, steps=100)
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:35] == [1.0] * 26
    assert rates[-1] == pytest.approx(0.02, abs=0.02)
    assert rates[35:] == sorted(rates[35:], reverse=True)


def test_polishing_has_its_own_peak_and_ends_at_nothing() -> None:
    schedule = Schedule(peak=1.0, warm_up=1, steps=10, polish_peak=0.5, polish_steps=5)
    assert [schedule.rate(step) for step in range(10, 15)] == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1])
