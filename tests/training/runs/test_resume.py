"""A run that is stopped goes on as if it had not been: same weights, same scores, same digest."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from fakes.training import RecordingWatcher, chat_rows, write_jsonl
from parfocal.training import (
    Interrupted,
    NothingToResume,
    ResumeMismatch,
    StepDone,
    TrainConfig,
    resume,
    train,
)

STEPS = 14


class StopsAt(RecordingWatcher):
    """Sends this process a signal when a step is reported, as a person at the keyboard would."""

    def __init__(self, step: int, number: signal.Signals = signal.SIGINT) -> None:
        super().__init__()
        self._step = step
        self._number = number

    def step(self, done: StepDone) -> None:
        """Sends the signal at its step."""
        super().step(done)
        if done.step == self._step:
            signal.raise_signal(self._number)


@pytest.fixture
def settings(base_folder: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "data": write_jsonl(tmp_path / "data.jsonl", chat_rows(70)),
        "name": "letters",
        "base": str(base_folder),
        "output": tmp_path / "run",
        "steps": STEPS,
        "evaluations": 3,
        "rank": 4,
        "dropout": 0.1,
    }


def weights(folder: Path) -> bytes:
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_resumes_bit_for_bit(
    settings: dict[str, Any], tmp_path: Path, number: signal.Signals
) -> None:
    whole = train(TrainConfig(**settings))
    broken = settings | {"output": tmp_path / "broken"}
    with pytest.raises(Interrupted, match=r"parfocal train --resume --output .*broken") as stop:
        train(TrainConfig(**broken), StopsAt(6, number))
    watcher = RecordingWatcher()
    resumed = resume(broken["output"], watcher)

    assert 6 <= stop.value.step < STEPS
    assert watcher.steps[0].step == stop.value.step + 1
    assert weights(broken["output"]) == weights(settings["output"])
    assert resumed.metrics() == whole.metrics()
    assert resumed.best_step == whole.best_step


def test_an_early_best_adapter_survives_the_interruption(settings: dict[str, Any]) -> None:
    spoiling = settings | {"learning_rate": 0.03, "evaluations": STEPS}
    with pytest.raises(Interrupted):
        train(TrainConfig(**spoiling), StopsAt(12))
    best_step = json.loads(next(settings["output"].glob("checkpoints/*/complete.json")).read_text())["note"]
    result = resume(settings["output"])

    assert result.best_step >= best_step["best_step"]
    assert (settings["output"] / "adapter").is_dir()


def test_a_run_may_be_interrupted_twice(settings: dict[str, Any], tmp_path: Path) -> None:
    train(TrainConfig(**settings))
    broken = settings | {"output": tmp_path / "broken"}
    with pytest.raises(Interrupted):
        train(TrainConfig(**broken), StopsAt(4))
    with pytest.raises(Interrupted):
        resume(broken["output"], StopsAt(9))
    resume(broken["output"])

    assert weights(broken["output"]) == weights(settings["output"])


def test_the_handlers_of_the_process_come_back(settings: dict[str, Any]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings), StopsAt(2))

    assert signal.getsignal(signal.SIGINT) is before


def test_training_in_a_thread_leaves_signals_alone(settings: dict[str, Any]) -> None:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(train(TrainConfig(**settings))))
    thread.start()
    thread.join()

    assert len(results) == 1


def test_other_data_is_not_the_same_run(settings: dict[str, Any]) -> None:
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings), StopsAt(3))
    write_jsonl(settings["data"], chat_rows(71))

    with pytest.raises(ResumeMismatch, match="data of this run changed"):
        resume(settings["output"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("steps", 20), ("rank", 8), ("learning_rate", 1e-3), ("name", "numbers"), ("keep", "last")],
)
def test_a_setting_that_decides_the_adapter_cannot_change(
    settings: dict[str, Any], name: str, value: object
) -> None:
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings), StopsAt(3))

    with pytest.raises(ResumeMismatch, match=f"{name} is .* in this run and cannot become .*new run"):
        resume(settings["output"], settings={name: value})


def test_what_was_given_before_may_be_given_again_and_the_registry_anew(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings), StopsAt(3))
    again = {"rank": 4, "data": settings["data"], "registry": str(tmp_path / "elsewhere"), "exact_match": 2}
    result = resume(settings["output"], settings=again)

    assert result.version == 1
    assert result.adapter.exact_match is not None
    assert (tmp_path / "elsewhere" / "index.sqlite").exists()


def test_an_open_run_resumes_bit_for_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    left_open = settings | {"steps": None, "evaluations": 20}
    whole = train(TrainConfig(**left_open))
    broken = left_open | {"output": tmp_path / "broken"}
    with pytest.raises(Interrupted):
        train(TrainConfig(**broken), StopsAt(whole.steps - 5))
    resumed = resume(broken["output"])

    assert resumed.steps == whole.steps
    assert weights(broken["output"]) == weights(settings["output"])


def test_a_finished_run_has_nothing_to_resume(settings: dict[str, Any], tmp_path: Path) -> None:
    train(TrainConfig(**settings))

    with pytest.raises(NothingToResume, match="is finished"):
        resume(settings["output"])
    with pytest.raises(NothingToResume, match="holds no run"):
        resume(tmp_path / "absent")


_SCRIPT = """
import json, sys
from parfocal.training import Interrupted, PlainWatcher, TrainConfig, train
config = TrainConfig.from_json(json.loads(sys.argv[1]))
try:
    train(config, PlainWatcher(lambda line: print(line, flush=True)))
except Interrupted as stop:
    print("INTERRUPTED", stop.step)
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
    long = settings | {"steps": 400, "evaluations": 1}
    process = _run_until(long, "step 40/")
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate()

    assert process.returncode == 0
    assert "Stopping after this step" in said
    assert int(said.split("INTERRUPTED")[1]) >= 40
    marks = list(settings["output"].glob("checkpoints/checkpoint-*/complete.json"))
    assert len(marks) == 1


def test_a_killed_run_resumes_from_its_last_whole_checkpoint(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    whole = train(TrainConfig(**settings))
    killed = settings | {"output": tmp_path / "killed", "checkpoint_minutes": 0.01, "steps": STEPS}
    process = _run_until(killed, "step 7/")
    process.kill()
    process.communicate()
    resumed = resume(killed["output"])

    assert resumed.metrics() == whole.metrics()
    assert weights(killed["output"]) == weights(settings["output"])
