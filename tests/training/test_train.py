"""A whole run: data in, a measured and published adapter out, the same every time."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from fakes.training import FailingRegistry, RecordingWatcher, SilentRegistry, chat_row, chat_rows, write_jsonl
from parfocal.registry import FolderRegistry, Rendering
from parfocal.registry.errors import AdapterNotFound, StorageError
from parfocal.training import (
    DataRefused,
    InvalidConfig,
    NothingToPublish,
    ParentMismatch,
    RunDamaged,
    RunExists,
    TrainConfig,
    TrainResult,
    check,
    publish_run,
    resume,
    train,
)
from parfocal.training.data.prepare import prepare
from parfocal.training.data.split import lines_in_words

STEPS = 6


def settings_of(folder: Path, base: Path) -> dict[str, Any]:
    return {
        "data": write_jsonl(folder / "data.jsonl", chat_rows(80)),
        "name": "team/letters",
        "base": str(base),
        "output": folder / "run",
        "registry": str(folder / "registry"),
        "steps": STEPS,
        "evaluations": 2,
        "rank": 4,
        "held_out_fraction": 0.2,
        "answers": 0,
        "probes": False,
    }


@pytest.fixture
def settings(base_folder: Path, tmp_path: Path) -> dict[str, Any]:
    return settings_of(tmp_path, base_folder)


@pytest.fixture
def short(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run of which only the end counts."""
    return settings | {"steps": 1, "evaluations": 1}


@dataclass(frozen=True, slots=True)
class Whole:
    """A run, what it was told, and what it told."""

    settings: dict[str, Any]
    result: TrainResult
    watcher: RecordingWatcher

    @property
    def registry(self) -> Path:
        return Path(self.settings["registry"])


@pytest.fixture(scope="module")
def whole(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A published run for all tests that change nothing of it."""
    settings = settings_of(tmp_path_factory.mktemp("whole"), base_folder)
    settings |= {"answers": 3, "template_variables": {"enable_thinking": False}}
    watcher = RecordingWatcher()
    return Whole(settings, train(TrainConfig(**settings), watcher), watcher)


@pytest.fixture
def trained(whole: Whole) -> TrainResult:
    return whole.result


@pytest.fixture(scope="module")
def unpublished(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A run without a registry, which tests copy before they change it."""
    settings = settings_of(tmp_path_factory.mktemp("unpublished"), base_folder)
    return train(TrainConfig(**settings | {"registry": None, "steps": 1, "evaluations": 1}))


@pytest.fixture
def alone(unpublished: TrainResult, tmp_path: Path) -> Path:
    """The folder of a copy of it."""
    return Path(shutil.copytree(unpublished.output, tmp_path / "alone"))


def test_the_adapter_is_better_than_its_base_and_says_so(trained: TrainResult) -> None:
    assert trained.adapter.loss < trained.base.loss - 0.1
    assert trained.gain.verdict == "better"
    assert trained.examples == 8


def test_the_version_carries_where_it_came_from_and_how_good_it_is(
    trained: TrainResult, whole: Whole
) -> None:
    version = FolderRegistry(whole.registry).resolve("team/letters")
    manifest = version.manifest

    assert (version.version, version.digest) == (trained.version, trained.digest)
    assert manifest.contract.base.verified
    assert {target.rank for target in manifest.contract.targets} == {4}
    assert manifest.provenance is not None and manifest.evaluation is not None
    assert manifest.provenance.seed == 0
    assert manifest.provenance.hyper_parameters["steps"] == STEPS
    assert manifest.contract.rendering == Rendering(
        "chat", manifest.contract.base.chat_template_digest, {"enable_thinking": False}
    )
    assert {"torch", "peft", "trl", "bitsandbytes"} <= manifest.provenance.tools.keys()
    assert manifest.evaluation.examples == 8
    assert manifest.evaluation.metrics == trained.metrics()
    assert {"base_exact_match", "adapter_exact_match"} <= trained.metrics().keys()


def test_report_curve_and_result_lie_in_the_folder_of_the_run(trained: TrainResult) -> None:
    output = trained.output

    assert json.loads((output / "data-report.json").read_text())["accepted"]
    assert (output / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((output / "result.json").read_text()) == trained.to_json()
    assert not (output / "checkpoints").exists()


def test_the_version_carries_its_evaluation_its_page_and_the_data_report(
    trained: TrainResult, whole: Whole
) -> None:
    registry = FolderRegistry(whole.registry)
    folder = registry.materialise(registry.resolve("team/letters").digest)
    evaluation = json.loads((folder / "evaluation.json").read_text())

    assert (folder / "report.html").read_bytes() == (trained.output / "evaluation/report.html").read_bytes()
    assert [arm["title"] for arm in evaluation["arms"]] == ["base", "adapter"]
    assert json.loads((folder / "data_report.json").read_text())["counts"]["train_rows"] == 64
    assert str(whole.settings["output"]) not in (folder / "report.html").read_text()


def test_the_same_run_again_gives_the_same_version(whole: Whole, tmp_path: Path) -> None:
    shutil.copytree(whole.registry, tmp_path / "registry")
    own = {"output": tmp_path / "again", "registry": str(tmp_path / "registry")}
    again = train(TrainConfig(**whole.settings | own))

    assert (again.version, again.digest) == (whole.result.version, whole.result.digest) == (1, again.digest)


def test_a_watcher_is_told_the_reasons_the_steps_and_the_table(whole: Whole) -> None:
    text = "\n".join(whole.watcher.said)

    assert "Tinker cookbook" in text
    assert "64 rows to train on, 8 to choose the adapter on, 8 to report on" in text
    assert f"step 3/{STEPS}: validation loss" in text
    assert "8 held-out rows" in text
    assert "Published as team/letters@1" in text
    assert [done.step for done in whole.watcher.steps] == list(range(1, STEPS + 1))


def test_the_version_names_the_rows_that_its_figures_are_of(
    settings: dict[str, Any], base_folder: Path
) -> None:
    config = TrainConfig(**settings | {"learning_rate": 0.03, "evaluations": STEPS})
    result = train(config)
    manifest = FolderRegistry(Path(settings["registry"])).resolve("team/letters").manifest
    assert manifest.provenance is not None and manifest.evaluation is not None
    recorded = manifest.provenance.hyper_parameters
    prepared = prepare(config, base_folder)
    reported = [sample.row for sample in prepared.held_out]

    assert recorded["held_out_lines"] == lines_in_words(reported)
    assert not {sample.row for sample in prepared.validation} & set(reported)
    assert manifest.evaluation.data_digest == recorded["held_out_digest"] != recorded["validation_digest"]
    assert (recorded["train_rows"], recorded["validation_rows"], recorded["held_out_rows"]) == (64, 8, 8)
    assert recorded["kept_step"] == result.best_step
    assert recorded["data_report"] == prepared.report.summary()


def test_where_nothing_is_chosen_the_held_out_rows_are_watched_and_all_reported(
    settings: dict[str, Any],
) -> None:
    watcher = RecordingWatcher()
    result = train(TrainConfig(**settings | {"keep": "last", "steps": 2}), watcher)

    assert result.examples == 16
    assert result.best_step == result.steps
    assert any("step 1/2: held-out loss" in line for line in watcher.said)


def test_without_rows_to_choose_on_the_last_adapter_is_kept(settings: dict[str, Any]) -> None:
    write_jsonl(
        settings["data"], [chat_row("same", f"{n % 3}") for n in range(55)] + [chat_row("other", "x")]
    )
    result = train(TrainConfig(**settings | {"learning_rate": 0.1, "evaluations": STEPS}))

    assert result.examples == 1
    assert result.best_step == result.steps == STEPS


class Flips(RecordingWatcher):
    """Flips one bit of a file when it hears a line that begins as it was told."""

    def __init__(self, beginning: str, file: Path) -> None:
        super().__init__()
        self._beginning = beginning
        self._file = file

    def say(self, text: str) -> None:
        super().say(text)
        if text.startswith(self._beginning):
            flip(self._file)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def test_an_adapter_that_changed_between_training_and_publishing_is_not_published(
    short: dict[str, Any],
) -> None:
    weights = short["output"] / "adapter" / "adapter_model.safetensors"
    with pytest.raises(RunDamaged, match=r"adapter_model\.safetensors is not as it was written.*train again"):
        train(TrainConfig(**short), Flips("Scoring", weights))

    assert list(FolderRegistry(Path(short["registry"])).adapters().items) == []
    assert resume(short["output"]).version == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("adapter/adapter_model.safetensors", "adapter_model.safetensors is not as it was written"),
        ("adapter/adapter_config.json", "adapter_config.json is not as it was written"),
        ("publication.json", "publication.json is damaged"),
        ("run.json", "run.json is damaged"),
    ],
)
def test_a_finished_run_that_changed_is_not_published_later(
    alone: Path, tmp_path: Path, name: str, said: str
) -> None:
    flip(alone / name)

    with pytest.raises(RunDamaged, match=said):
        publish_run(alone, registry=str(tmp_path / "registry"))
    assert not (tmp_path / "registry").exists()


def test_faulty_data_leaves_no_run_behind(settings: dict[str, Any]) -> None:
    data = settings["data"]
    data.write_text(data.read_text() + "{oops\n")

    with pytest.raises(DataRefused, match=r"BAD_JSON .*line 81") as refusal:
        train(TrainConfig(**settings))
    assert refusal.value.report.errors[0].lines == (81,)
    assert not settings["output"].exists()


def test_an_earlier_run_is_not_overwritten(whole: Whole) -> None:
    with pytest.raises(RunExists):
        train(TrainConfig(**whole.settings))


def test_without_a_registry_nothing_is_published(unpublished: TrainResult) -> None:
    assert unpublished.version is None
    assert (unpublished.adapter_folder / "adapter_model.safetensors").is_file()


def test_a_run_that_could_not_be_published_is_published_by_resuming(whole: Whole, tmp_path: Path) -> None:
    own = {"output": tmp_path / "run", "registry": str(tmp_path / "registry")}
    told = RecordingWatcher()
    with pytest.raises(StorageError):
        train(TrainConfig(**whole.settings | own), told, registry=FailingRegistry(tmp_path / "failing"))
    assert told.said[-1].endswith(f"Publish it later with: parfocal train --publish-run {tmp_path / 'run'}")
    watcher = RecordingWatcher()
    result = resume(tmp_path / "run", watcher)

    assert result.version == 1
    assert watcher.steps == []
    assert result.digest == whole.result.digest


def test_a_run_without_a_registry_is_published_later_with_its_evaluation(
    unpublished: TrainResult, alone: Path, tmp_path: Path
) -> None:
    version = publish_run(alone, registry=str(tmp_path / "registry"), name="other/letters")
    manifest = version.manifest

    assert (version.name, version.version) == ("other/letters", 1)
    assert manifest.evaluation is not None and manifest.provenance is not None
    assert manifest.evaluation.metrics == pytest.approx(unpublished.metrics())
    assert manifest.provenance.hyper_parameters["steps"] == unpublished.steps


def test_there_must_be_a_finished_run_and_a_place_to_publish(alone: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToPublish, match="--registry"):
        publish_run(alone)
    assert publish_run(alone, fallback=str(tmp_path / "usual")).version == 1
    (alone / "publication.json").write_text("{}")
    with pytest.raises(RunDamaged, match="parfocal push"):
        publish_run(alone, registry=str(tmp_path / "registry"))
    (alone / "publication.json").unlink()
    with pytest.raises(NothingToPublish, match="earlier Parfocal"):
        publish_run(alone, registry=str(tmp_path / "registry"))
    (alone / "result.json").unlink()
    with pytest.raises(NothingToPublish, match="--resume"):
        publish_run(alone, registry=str(tmp_path / "registry"))


def test_a_registry_that_does_not_answer_is_found_out_before_the_run_begins(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="gave up"):
        train(
            TrainConfig(**settings | {"output": tmp_path / "run2"}), registry=SilentRegistry(tmp_path / "r")
        )

    assert not (tmp_path / "run2").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_here_is_found_out_before_the_run_begins(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    for device in ("cuda", "cuda:7"):
        with pytest.raises(InvalidConfig, match="--device cpu"):
            train(TrainConfig(**settings | {"output": tmp_path / "run3", "device": device}))

    assert not (tmp_path / "run3").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_the_check_sees_that_a_device_is_not_here(settings: dict[str, Any]) -> None:
    for device in ("cuda", "cuda:3"):
        with pytest.raises(InvalidConfig, match="--device cpu"):
            check(TrainConfig(**settings | {"device": device}))


@pytest.mark.parametrize("targets", [("q_prj",), ("v_proj", "q_prj"), ("proj",), ("lm_head",), ("norm",)])
def test_a_target_that_the_base_does_not_have_is_named_by_the_check_and_before_a_run(
    settings: dict[str, Any], targets: tuple[str, ...]
) -> None:
    for begin in (check, train):
        with pytest.raises(
            InvalidConfig, match=f"targets name '{targets[-1]}'.* it has down_proj, gate_proj"
        ):
            begin(TrainConfig(**settings | {"targets": targets}))

    assert not settings["output"].exists()


@pytest.mark.parametrize("targets", [("q_proj",), ("self_attn.q_proj", "layers.0.mlp.up_proj")])
def test_a_target_may_be_the_end_of_a_path(settings: dict[str, Any], targets: tuple[str, ...]) -> None:
    assert check(TrainConfig(**settings | {"targets": targets})).hyperparameters is not None


def test_the_check_asks_for_the_parent_too(settings: dict[str, Any], tmp_path: Path) -> None:
    FolderRegistry(Path(settings["registry"]))
    with pytest.raises(AdapterNotFound):
        check(TrainConfig(**settings | {"parent": "no/such"}))
    with pytest.raises(InvalidConfig, match="--registry"):
        check(TrainConfig(**settings | {"parent": "no/such", "registry": str(tmp_path / "absent")}))

    assert not (tmp_path / "absent").exists()


def test_a_run_may_continue_from_a_published_adapter(
    trained: TrainResult, whole: Whole, tmp_path: Path
) -> None:
    registry = shutil.copytree(whole.registry, tmp_path / "registry")
    own = {"output": tmp_path / "more", "registry": str(registry), "steps": 1, "evaluations": 1}
    result = train(TrainConfig(**whole.settings | own | {"parent": "team/letters@1", "learning_rate": 1e-9}))
    version = FolderRegistry(registry).resolve("team/letters@2")

    assert result.version == 2
    assert version.manifest.provenance is not None
    assert version.manifest.provenance.parent == "team/letters@1"
    assert result.adapter.loss == pytest.approx(trained.adapter.loss, abs=1e-3)
    assert result.base.loss == trained.base.loss


def test_a_parent_of_another_shape_is_refused(whole: Whole, tmp_path: Path) -> None:
    more = whole.settings | {"output": tmp_path / "more", "parent": "team/letters", "rank": 8}

    with pytest.raises(ParentMismatch, match="has r 4, this run 8"):
        train(TrainConfig(**more))
