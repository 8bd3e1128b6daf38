"""One run in two processes is the run that one process makes, and outlives the loss of either."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fakes.launched import Launched
from fakes.training import chat_rows, weights, write_jsonl

COMMAND = ("-m", "parfocal.cli", "train")
STEPS = 60
_APART = 1e-4  # float32, summed in another order


def flags(data: Path, base: Path) -> list[str]:
    text = (
        f"--data {data} --base {base} --name letters --no-publish --steps {STEPS} --batch-size 4 --rank 4 "
        "--dtype float32 --evaluations 3 --answers 0 --no-probes --learning-rate 1e-3 --device cpu"
    )
    return text.split()


@pytest.fixture(scope="module")
def settings(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("several")
    return flags(write_jsonl(folder / "rows.jsonl", chat_rows(70)), base_folder)


@pytest.fixture(scope="module")
def alone(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    run = tmp_path_factory.mktemp("alone") / "run"
    command = [sys.executable, *COMMAND, *settings, "--output", str(run), "--events", f"{run}.events"]
    subprocess.run(command, check=True, capture_output=True)
    return run


@pytest.fixture(scope="module")
def two(settings: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run under torchrun in two."""
    run = tmp_path_factory.mktemp("two") / "run"
    torchrun = Path(sys.executable).with_name("torchrun")
    command = [torchrun, "--standalone", "--nproc-per-node", "2", *COMMAND, *settings, "--output", run]
    done = subprocess.run(
        [*map(str, command), "--events", f"{run}.events"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (run.parent / "output").write_text(done.stdout)
    return run


def events(run: Path, kind: str) -> list[Mapping[str, Any]]:
    lines = run.with_name(f"{run.name}.events").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def test_the_losses_are_those_of_one_process(alone: Path, two: Path) -> None:
    for kind in ("step", "scored"):
        expected = [(event["step"], event["loss"]) for event in events(alone, kind)]
        found = [(event["step"], event["loss"]) for event in events(two, kind)]
        assert [step for step, _ in found] == [step for step, _ in expected]
        assert [loss for _, loss in found] == pytest.approx([loss for _, loss in expected], abs=_APART)


def assert_same_adapter(found: Path, expected: Path) -> None:
    mine, theirs = (load_file(run / "adapter" / "adapter_model.safetensors") for run in (found, expected))
    assert mine.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(mine[name], tensor, atol=_APART, rtol=1e-2)


def test_gradients_are_averaged_so_that_the_adapter_is_that_of_one_process(alone: Path, two: Path) -> None:
    assert_same_adapter(two, alone)


def test_only_the_leader_reports_and_writes(two: Path) -> None:
    said = (two.parent / "output").read_text()
    assert said.count("Training in 2 processes") == said.count("The base alone") == 1
    assert len(events(two, "finished")) == 1
    assert {path.name for path in two.iterdir()} >= {"adapter", "evaluation", "result.json", "settings.toml"}
    assert not (two / "checkpoints").exists()


def resume_in_two(run: Path) -> None:
    with Launched([*COMMAND, "--resume", "--output", run]) as both:
        for number in (0, 1):
            ended = both.ended(number)
            assert ended.code == 0, ended.errors


@pytest.mark.parametrize("killed", [0, 1])
def test_killing_one_ends_the_other_and_the_run_goes_on_to_the_same_adapter(
    settings: list[str], two: Path, tmp_path: Path, killed: int
) -> None:
    run = tmp_path / "run"
    often = ["--checkpoint-minutes", "0.01", "--output", str(run), "--events", f"{run}.events"]
    with Launched([*COMMAND, *settings, *often]) as both:
        while not (run.with_name("run.events").exists() and events(run, "saved")):
            assert both.processes[0].poll() is None, both.ended(0)
            time.sleep(0.02)
        both.processes[killed].kill()
        survivor = both.ended(1 - killed)
        assert survivor.code == 1
        assert f"process {1 - killed} of 2: another process has gone without a word" in survivor.errors
        assert f"parfocal train --resume --output {run}" in survivor.errors
    if killed:
        resume_in_two(run)
        assert weights(run) == weights(two)
    else:  # with another number of processes it is the same run, but not the same bits
        command = [sys.executable, *COMMAND, "--resume", "--output", str(run)]
        subprocess.run(command, check=True, capture_output=True)
        assert_same_adapter(run, two)


def test_one_that_stands_still_is_given_up(settings: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Launched([*COMMAND, *settings, "--output", run, "--process-minutes", "0.1"]) as both:
        while not (run / "settings.toml").exists():
            assert both.processes[0].poll() is None, both.ended(0)
            time.sleep(0.02)
        os.kill(both.processes[1].pid, signal.SIGSTOP)
        first = both.ended(0)
    assert first.code == 1
    assert "does not come within 0.1 minutes" in first.errors


def test_a_request_to_stop_reaches_all_and_leaves_one_checkpoint(
    settings: list[str], two: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with Launched([*COMMAND, *settings, "--output", run, "--events", f"{run}.events"]) as both:
        while not (run.with_name("run.events").exists() and events(run, "step")):
            assert both.processes[0].poll() is None, both.ended(0)
            time.sleep(0.02)
        both.processes[1].terminate()
        first, second = both.ended(0), both.ended(1)
    assert (first.code, second.code) == (130, 0), first.errors + second.errors
    assert "stopped at step" in first.errors
    assert len(list(run.glob("checkpoints/checkpoint-*"))) == 1
    resume_in_two(run)
    assert weights(run) == weights(two)
