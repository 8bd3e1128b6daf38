"""A run that is stopped goes on as if it had not been: same weights, same scores, same digest."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.training import RecordingWatcher, StopsAt, chat_row, chat_rows, weights, write_jsonl
from parfocal.training import (
    Interrupted,
    NothingToResume,
    ResumeMismatch,
    RunDamaged,
    StepDone,
    TrainConfig,
    TrainResult,
    resume,
    train,
)
from parfocal.training.runs.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Halted:
    """A run that was stopped after `step`, and what handled Ctrl-C before and after it."""

    folder: Path
    step: int
    handlers: tuple[object, object]


@pytest.fixture(scope="module")
def halted(shared: dict[str, Any]) -> Halted:
    """The same run, stopped on its way. Tests that change it copy it."""
    folder = shared["output"].with_name("halted")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match=r"parfocal train --resume --output .*halted") as stop:
        train(TrainConfig(**shared | {"output": folder}), StopsAt(5))
    return Halted(folder, stop.value.step, (before, signal.getsignal(signal.SIGINT)))


@pytest.fixture
def interrupted(halted: Halted, tmp_path: Path) -> Path:
    """A copy of the stopped run."""
    return Path(shutil.copytree(halted.folder, tmp_path / "interrupted"))


def checkpoint_of(run: Path) -> Path:
    (folder,) = run.glob("checkpoints/checkpoint-*")
    return folder


def test_an_interrupted_run_resumes_bit_for_bit_wherever_its_folder_was_moved(
    whole: TrainResult, halted: Halted, interrupted: Path
) -> None:
    watcher = RecordingWatcher()
    resumed = resume(interrupted, watcher, settings={"output": interrupted})

    assert 5 <= halted.step < whole.steps
    assert watcher.steps[0].step == halted.step + 1
    assert weights(interrupted) == weights(whole.output)
    assert resumed.metrics() == whole.metrics()
    assert (resumed.best_step, resumed.steps) == (whole.best_step, whole.steps)
    assert resumed.output == interrupted
    assert not (halted.folder / "adapter").exists()


def test_a_run_may_be_interrupted_twice_and_by_either_signal(
    settings: dict[str, Any], whole: TrainResult
) -> None:
    with pytest.raises(Interrupted) as first:
        train(TrainConfig(**settings), StopsAt(2, signal.SIGTERM))
    with pytest.raises(Interrupted) as second:
        resume(settings["output"], StopsAt(5, signal.SIGINT))
    watcher = RecordingWatcher()
    resumed = resume(settings["output"], watcher)

    assert 2 <= first.value.step < 5 <= second.value.step < whole.steps
    assert watcher.steps[0].step == second.value.step + 1
    assert weights(settings["output"]) == weights(whole.output)
    assert resumed.metrics() == whole.metrics()
    assert resumed.best_step == whole.best_step


def test_an_early_best_adapter_survives_the_interruption(settings: dict[str, Any]) -> None:
    spoiling = settings | {"learning_rate": 0.03, "evaluations": settings["steps"]}
    with pytest.raises(Interrupted):
        train(TrainConfig(**spoiling), StopsAt(settings["steps"] - 2))
    note = json.loads((checkpoint_of(settings["output"]) / "complete.json").read_text())["note"]
    result = resume(settings["output"])

    assert result.best_step >= note["best_step"]
    assert (settings["output"] / "adapter").is_dir()


def test_the_handlers_of_the_process_come_back(halted: Halted) -> None:
    before, after = halted.handlers

    assert after is before


def test_training_in_a_thread_leaves_signals_alone(settings: dict[str, Any]) -> None:
    results: list[object] = []
    short = TrainConfig(**settings | {"steps": 1, "evaluations": 1})
    thread = threading.Thread(target=lambda: results.append(train(short)))
    thread.start()
    thread.join()

    assert len(results) == 1


def test_other_data_is_not_the_same_run(halted: Halted, shared: dict[str, Any]) -> None:
    before = shared["data"].read_bytes()
    write_jsonl(shared["data"], chat_rows(71))
    try:
        with pytest.raises(ResumeMismatch, match="data of this run changed"):
            resume(halted.folder)
    finally:
        shared["data"].write_bytes(before)


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 20), ("rank", 8), ("learning_rate", 1e-3), ("name", "numbers"), ("keep", "last")],
)
def test_a_setting_that_decides_the_adapter_cannot_change(halted: Halted, name: str, value: object) -> None:
    with pytest.raises(ResumeMismatch, match=f"{name} is .* in this run and cannot become .*new run"):
        resume(halted.folder, settings={name: value})


def test_what_was_given_before_may_be_given_again_and_the_registry_anew(
    interrupted: Path, shared: dict[str, Any], tmp_path: Path
) -> None:
    again = {"rank": 4, "data": shared["data"], "registry": str(tmp_path / "elsewhere"), "answers": 2}
    result = resume(interrupted, settings=again)

    assert result.version == 1
    assert "exact_match" in result.adapter.named()
    assert (tmp_path / "elsewhere" / "index.sqlite").exists()


def test_other_held_out_or_validation_rows_are_not_the_same_run(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    files: dict[str, Any] = {
        name: write_jsonl(tmp_path / f"{name}.jsonl", [chat_row(f"{name} {n}", "x") for n in range(12)])
        for name in ("held_out", "validation")
    }
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings | {"steps": 3}, **files), StopsAt(1))
    for name, words in (("held_out", "held-out"), ("validation", "validation")):
        before = files[name].read_bytes()
        write_jsonl(files[name], [chat_row(f"{name} {n}", "x") for n in range(13)])
        with pytest.raises(ResumeMismatch, match=f"the {words} rows of this run changed"):
            resume(settings["output"])
        files[name].write_bytes(before)

    assert resume(settings["output"]).examples == 12


def test_no_byte_of_a_checkpoint_may_change(interrupted: Path, halted: Halted) -> None:
    files = [path for path in sorted(checkpoint_of(interrupted).rglob("*")) if path.is_file()]
    names = {path.name for path in files}
    assert {"adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "best.safetensors"} <= names
    for path in files:
        before = path.read_bytes()
        for changed in (before[:-1], bytes([before[0] ^ 1]) + before[1:]):
            path.write_bytes(changed)
            with pytest.raises(RunDamaged, match=path.name):
                resume(interrupted)
        path.write_bytes(before)

    found = RunFolder.open(interrupted)[0].checkpoints.latest()
    assert found is not None and found.step == halted.step


def test_a_checkpoint_of_a_twin_run_is_not_resumed(interrupted: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings), StopsAt(1))
    shutil.rmtree(interrupted / "checkpoints")
    shutil.copytree(settings["output"] / "checkpoints", interrupted / "checkpoints")

    with pytest.raises(RunDamaged, match="another run wrote it"):
        resume(interrupted)


def test_without_its_damaged_checkpoint_the_run_starts_anew(interrupted: Path, whole: TrainResult) -> None:
    (checkpoint_of(interrupted) / "optimizer.pt").write_bytes(b"")
    with pytest.raises(RunDamaged, match="remove that folder"):
        resume(interrupted)
    shutil.rmtree(checkpoint_of(interrupted))

    assert resume(interrupted).metrics() == whole.metrics()


def test_an_open_run_resumes_bit_for_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    write_jsonl(settings["data"], [chat_row(f"{number}", "x") for number in range(40)])
    left_open = settings | {"steps": None, "evaluations": 20, "learning_rate": 0.01}
    whole = train(TrainConfig(**left_open))
    assert not whole.still_falling
    broken = left_open | {"output": tmp_path / "broken"}
    with pytest.raises(Interrupted):
        train(TrainConfig(**broken), StopsAt(whole.steps - 5))
    resumed = resume(broken["output"])

    assert resumed.steps == whole.steps
    assert weights(broken["output"]) == weights(settings["output"])


def test_a_finished_run_has_nothing_to_resume(whole: TrainResult, tmp_path: Path) -> None:
    with pytest.raises(NothingToResume, match="is finished"):
        resume(whole.output)
    with pytest.raises(NothingToResume, match="holds no run"):
        resume(tmp_path / "absent")


_SCRIPT = """
import json, sys
from parfocal.training import Interrupted, PlainWatcher, TrainConfig, train
config = TrainConfig.from_json(json.loads(sys.argv[1]))
try:
    train(config, PlainWatcher(lambda line: print(line, flush=True)))
except Interrupted as stop:
    print("INTERRUPTED", stop.step, stop.exit_code)
"""


def _run_until(settings: dict[str, Any], line: str) -> subprocess.Popen[str]:
    text = json.dumps(TrainConfig(**settings).to_json())
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, text], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for said in process.stdout:
        if said.startswith(line):
            return process
    raise AssertionError(f"the run ended before it said {line!r}")


def test_ctrl_c_at_the_keyboard_leaves_a_checkpoint_that_resumes(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    long = settings | {"steps": 200, "evaluations": 1}
    process = _run_until(long, "step 20/")
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=300)

    assert process.returncode == 0
    assert "Stopping after this step" in said
    step, exit_code = said.split("INTERRUPTED")[1].split()
    assert int(step) >= 20
    assert int(exit_code) == 130
    marks = list(settings["output"].glob("checkpoints/checkpoint-*/complete.json"))
    assert len(marks) == 1


_OFTEN_MINUTES = 0.01


class CopiesAt(StopsAt):
    """Copies a run at a step, and stops the run at the next."""

    def __init__(self, step: int, run: Path, target: Path) -> None:
        super().__init__(step + 1)
        self._at, self._run, self._target = step, run, target

    def step(self, done: StepDone) -> None:
        """Copies at its step: a process that is killed then leaves no more behind."""
        if done.step == 1:
            time.sleep(60 * _OFTEN_MINUTES)  # a checkpoint is due
        if done.step == self._at:
            shutil.copytree(self._run, self._target)
        super().step(done)


def test_a_killed_run_resumes_from_its_last_whole_checkpoint(
    settings: dict[str, Any], whole: TrainResult, tmp_path: Path
) -> None:
    killed, often = tmp_path / "killed", TrainConfig(**settings | {"checkpoint_minutes": _OFTEN_MINUTES})
    with pytest.raises(Interrupted):
        train(often, CopiesAt(4, settings["output"], killed))
    last = checkpoint_of(killed)
    half = shutil.copytree(last, last.with_name("checkpoint-7"))
    (Path(half) / "complete.json").unlink()
    watcher = RecordingWatcher()
    resumed = resume(killed, watcher)

    assert f"checkpoint-{watcher.steps[0].step - 1}" == last.name
    assert resumed.metrics() == whole.metrics()
    assert weights(killed) == weights(whole.output)
