"""A run that diverges ends by itself, keeps the best adapter until then, and says where it is."""

import math
from pathlib import Path

import pytest
from safetensors.torch import load_file

from fakes.training import RecordingWatcher, chat_rows, write_jsonl
from parfocal.registry import BaseContract
from parfocal.registry.values import Quantisation
from parfocal.training import Diverged, NothingToResume, TrainConfig, resume, train
from parfocal.training.runs import Identity, RunFolder, latest_unfinished

TINY = BaseContract("tiny", None, "sha256:c", Quantisation(), "sha256:t", None, verified=True)


def test_a_learning_rate_that_diverges_leaves_the_best_adapter_until_then(tmp_path: Path) -> None:
    spoiling = TrainConfig(
        data=write_jsonl(tmp_path / "rows.jsonl", chat_rows(40)),
        name="letters",
        output=tmp_path / "run",
        registry=str(tmp_path / "registry"),
        steps=40,
        evaluations=40,
        batch_size=2,
        schedule="constant",
        learning_rate=0.2,
    )
    watcher = RecordingWatcher()
    with pytest.raises(Diverged, match=r"lower the learning rate.*publish it with parfocal push") as caught:
        train(spoiling, watcher)

    best = min((each for each in watcher.scorings if not each.is_base), key=lambda each: each.loss)
    assert caught.value.step < 40
    assert f"of step {best.step} with a loss of {best.loss:.4f}" in str(caught.value)
    assert caught.value.adapter == tmp_path / "run" / "adapter"
    weights = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    assert all(math.isfinite(float(tensor.sum())) for tensor in weights.values())
    assert not (tmp_path / "run" / "result.json").exists()

    with pytest.raises(NothingToResume, match=r"has ended, and would end so again: the loss is"):
        resume(tmp_path / "run")


def test_a_run_that_diverged_is_not_the_unfinished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [
        RunFolder.create(TrainConfig(data=Path("d"), name="team/letters"), Identity("", "", TINY))
        for _ in range(2)
    ]
    runs[1].write_diverged("the loss is nan")

    assert latest_unfinished("team/letters").resolve() == runs[0].path
    runs[0].write_diverged("the loss is nan")
    with pytest.raises(NothingToResume, match="no unfinished run"):
        latest_unfinished("team/letters")
