"""The embedded base learns a job of the demo in a few steps; the registry's copy is what was scored."""

from pathlib import Path

import torch

from fakes.training import write_jsonl
from parfocal.engine import quiet_libraries
from parfocal.registry import FolderRegistry, locate_base
from parfocal.training import TrainConfig, train
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.prepare import prepare
from parfocal.training.evaluation.held_out import HeldOut
from parfocal.training.examples import support_emails
from parfocal.training.methods.adapter import load_served


def test_a_few_steps_on_tiny_are_learnt_published_and_scored_alike(tmp_path: Path) -> None:
    config = TrainConfig(
        data=write_jsonl(tmp_path / "emails.jsonl", list(support_emails(120, seed=5))),
        name="demo/support",
        registry=str(tmp_path / "registry"),
        output=tmp_path / "run",
        rendering="chat",
        steps=12,
        batch_size=8,
        learning_rate=5e-3,
        evaluations=1,
    )
    result = train(config)
    registry = FolderRegistry(tmp_path / "registry")
    version = registry.resolve("demo/support")
    assert version.manifest.provenance is not None

    assert result.adapter.loss < result.base.loss - 1.5
    assert result.gain.verdict == "better"
    assert version.manifest.contract.base.id == "tiny"
    assert version.manifest.provenance.hyper_parameters["rendering"] == "chat"

    base = locate_base("tiny", weights=True).folder
    with quiet_libraries():
        served = load_served(base, registry.materialise(version.digest), torch.device("cpu"))
    held_out = prepare(config, base).held_out
    score = HeldOut(held_out, 8, BaseEncoder(base).pad_id, torch.device("cpu")).score(served)
    assert score.loss == result.adapter.loss
