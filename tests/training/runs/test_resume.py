"""A run that is stopped goes on as if it had not been: same weights, same scores, same digest."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from fakes.training import RecordingWatcher, chat_row, chat_rows, write_jsonl
from parfocal.registry import FolderRegistry
from parfocal.training import (
    Interrupted,
    NothingToResume,
    ParentMismatch,
    ResumeMismatch,
    RunDamaged,
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
    return settings_of(tmp_path, base_folder)


def settings_of(folder: Path, base: Path) -> dict[str, Any]:
    return {
        "data": write_jsonl(folder / "data.jsonl", chat_rows(70)),
        "name": "letters",
        "base": str(base),
        "output": folder / "run",
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


def test_other_held_out_or_validation_rows_are_not_the_same_run(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    files: dict[str, Any] = {
        name: write_jsonl(tmp_path / f"{name}.jsonl", [chat_row(f"{name} {n}", "x") for n in range(12)])
        for name in ("held_out", "validation")
    }
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings, **files), StopsAt(3))
    for name, words in (("held_out", "held-out"), ("validation", "validation")):
        before = files[name].read_bytes()
        write_jsonl(files[name], [chat_row(f"{name} {n}", "x") for n in range(13)])
        with pytest.raises(ResumeMismatch, match=f"the {words} rows of this run changed"):
            resume(settings["output"])
        files[name].write_bytes(before)

    assert resume(settings["output"]).examples == 12


@pytest.fixture
def interrupted(settings: dict[str, Any]) -> Path:
    """The checkpoint of a run that was stopped."""
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings), StopsAt(6))
    (folder,) = settings["output"].glob("checkpoints/checkpoint-*")
    assert isinstance(folder, Path)
    return folder


def test_no_byte_of_a_checkpoint_may_change(interrupted: Path, settings: dict[str, Any]) -> None:
    files = [path for path in sorted(interrupted.rglob("*")) if path.is_file()]
    names = {path.name for path in files}
    assert {"adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "best.safetensors"} <= names
    for path in files:
        before = path.read_bytes()
        for changed in (before[:-1], bytes([before[0] ^ 1]) + before[1:]):
            path.write_bytes(changed)
            with pytest.raises(RunDamaged, match=path.name):
                resume(settings["output"])
        path.write_bytes(before)

    assert resume(settings["output"]).steps == STEPS


def test_a_checkpoint_of_a_twin_run_is_not_resumed(
    interrupted: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings | {"output": tmp_path / "twin"}), StopsAt(9))
    shutil.rmtree(interrupted.parent)
    shutil.copytree(tmp_path / "twin" / "checkpoints", interrupted.parent)

    with pytest.raises(RunDamaged, match="another run wrote it"):
        resume(settings["output"])


def test_a_run_whose_folder_was_moved_goes_on_there(
    interrupted: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    moved = settings["output"].rename(tmp_path / "moved")
    result = resume(moved, settings={"output": moved})

    assert (result.output, result.steps) == (moved, STEPS)
    assert not settings["output"].exists()


def test_without_its_damaged_checkpoint_the_run_starts_anew(
    interrupted: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    whole = train(TrainConfig(**settings | {"output": tmp_path / "whole"}))
    (interrupted / "optimizer.pt").write_bytes(b"")
    with pytest.raises(RunDamaged, match="remove that folder"):
        resume(settings["output"])
    shutil.rmtree(interrupted)

    assert resume(settings["output"]).metrics() == whole.metrics()


@pytest.fixture(scope="module")
def parents(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with two versions of team/parent, of which prod is the first."""
    folder = tmp_path_factory.mktemp("parents")
    settings = settings_of(folder, base_folder) | {"name": "team/parent", "steps": 3}
    for seed in (1, 2):
        own = {"output": folder / f"run{seed}", "seed": seed, "registry": str(folder / "registry")}
        train(TrainConfig(**settings | own))
    FolderRegistry(folder / "registry").set_alias("team/parent", "prod", 1)
    return folder / "registry"


@pytest.fixture
def registry(parents: Path, tmp_path: Path) -> FolderRegistry:
    """A copy of `parents`."""
    return FolderRegistry(shutil.copytree(parents, tmp_path / "registry"))


def child_of(parent: str, settings: dict[str, Any], registry: FolderRegistry) -> dict[str, Any]:
    return settings | {"name": "team/child", "parent": parent, "registry": str(registry.path)}


@pytest.mark.parametrize("stopped_early", [False, True])
def test_the_parent_stays_what_the_alias_meant_when_the_run_began(
    settings: dict[str, Any], registry: FolderRegistry, tmp_path: Path, stopped_early: bool
) -> None:
    straight = child_of("team/parent@1", settings, registry)
    train(TrainConfig(**straight | {"output": tmp_path / "straight", "registry": str(registry.path)}))
    with pytest.raises(Interrupted):
        train(TrainConfig(**child_of("team/parent@prod", settings, registry)), StopsAt(4))
    registry.set_alias("team/parent", "prod", 2)
    if stopped_early:
        shutil.rmtree(settings["output"] / "checkpoints")
    result = resume(settings["output"])
    provenance = registry.resolve(f"team/child@{result.version}").manifest.provenance

    assert provenance is not None
    assert provenance.parent == "team/parent@1"
    assert provenance.hyper_parameters["parent_digest"] == registry.resolve("team/parent@1").digest
    assert weights(settings["output"]) == weights(tmp_path / "straight")


def test_a_parent_without_a_version_stays_the_latest_of_then(
    settings: dict[str, Any], registry: FolderRegistry, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        train(TrainConfig(**child_of("team/parent", settings, registry)), StopsAt(4))
    newest = settings | {"name": "team/parent", "output": tmp_path / "parent3", "seed": 3, "steps": 3}
    train(TrainConfig(**newest | {"registry": str(registry.path)}))
    resume(settings["output"])
    provenance = registry.resolve("team/child").manifest.provenance

    assert provenance is not None
    assert provenance.parent == "team/parent@2"


def test_a_registry_without_the_parent_does_only_once_there_is_a_checkpoint(
    settings: dict[str, Any], registry: FolderRegistry, tmp_path: Path
) -> None:
    digest = registry.resolve("team/parent@2").digest
    with pytest.raises(Interrupted):
        train(TrainConfig(**child_of("team/parent@2", settings, registry)), StopsAt(4))
    shutil.copytree(settings["output"], tmp_path / "early")
    elsewhere = {"registry": str(tmp_path / "elsewhere")}
    resume(settings["output"], settings=elsewhere)
    provenance = FolderRegistry(tmp_path / "elsewhere").resolve("team/child").manifest.provenance
    assert provenance is not None
    assert provenance.hyper_parameters["parent_digest"] == digest

    shutil.rmtree(tmp_path / "early" / "checkpoints")
    with pytest.raises(ParentMismatch, match=f"began from team/parent@2 .{digest}.*start a new run"):
        resume(tmp_path / "early", settings=elsewhere)
    with pytest.raises(ParentMismatch, match=r"began from team/parent@2 .*--registry"):
        resume(tmp_path / "early", settings={"registry": None})


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
