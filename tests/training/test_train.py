"""A whole run: data in, a measured and published adapter out, the same every time."""

import json
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


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "data.jsonl", chat_rows(80))


@pytest.fixture
def settings(data: Path, base_folder: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "data": data,
        "name": "team/letters",
        "base": str(base_folder),
        "output": tmp_path / "run",
        "registry": str(tmp_path / "registry"),
        "steps": 10,
        "evaluations": 2,
        "rank": 4,
    }


@pytest.fixture
def trained(settings: dict[str, Any]) -> TrainResult:
    return train(TrainConfig(**settings, exact_match=3, template_variables={"enable_thinking": False}))


def test_the_adapter_is_better_than_its_base_and_says_so(trained: TrainResult) -> None:
    assert trained.adapter.loss < trained.base.loss - 0.1
    assert trained.gain.verdict == "better"
    assert trained.examples == 4


def test_the_version_carries_where_it_came_from_and_how_good_it_is(
    trained: TrainResult, settings: dict[str, Any]
) -> None:
    version = FolderRegistry(Path(settings["registry"])).resolve("team/letters")
    manifest = version.manifest

    assert (version.version, version.digest) == (trained.version, trained.digest)
    assert manifest.contract.base.verified
    assert {target.rank for target in manifest.contract.targets} == {4}
    assert manifest.provenance is not None and manifest.evaluation is not None
    assert manifest.provenance.seed == 0
    assert manifest.provenance.hyper_parameters["steps"] == 10
    assert manifest.contract.rendering == Rendering(
        "chat", manifest.contract.base.chat_template_digest, {"enable_thinking": False}
    )
    assert {"torch", "peft", "trl", "bitsandbytes"} <= manifest.provenance.tools.keys()
    assert manifest.evaluation.examples == 4
    assert manifest.evaluation.metrics == trained.metrics()
    assert {"base_exact_match", "adapter_exact_match"} <= trained.metrics().keys()


def test_report_curve_and_result_lie_in_the_folder_of_the_run(
    trained: TrainResult, settings: dict[str, Any]
) -> None:
    output = settings["output"]

    assert json.loads((output / "data-report.json").read_text())["accepted"]
    assert (output / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((output / "result.json").read_text()) == trained.to_json()
    assert not (output / "checkpoints").exists()


def test_the_same_run_again_gives_the_same_version(settings: dict[str, Any], tmp_path: Path) -> None:
    first = train(TrainConfig(**settings))
    again = train(TrainConfig(**(settings | {"output": tmp_path / "again"})))

    assert (again.version, again.digest) == (first.version, first.digest)


def test_a_watcher_is_told_the_reasons_the_steps_and_the_table(settings: dict[str, Any]) -> None:
    watcher = RecordingWatcher()
    train(TrainConfig(**settings), watcher)
    text = "\n".join(watcher.said)

    assert "Tinker cookbook" in text
    assert "72 rows to train on, 4 to choose the adapter on, 4 to report on" in text
    assert "step 5/10: validation loss" in text
    assert "4 held-out rows" in text
    assert "Published as team/letters@1" in text
    assert [done.step for done in watcher.steps] == list(range(1, 11))


def test_the_version_names_the_rows_that_its_figures_are_of(
    settings: dict[str, Any], base_folder: Path
) -> None:
    config = TrainConfig(**settings | {"learning_rate": 0.03, "evaluations": 10})
    result = train(config)
    manifest = FolderRegistry(Path(settings["registry"])).resolve("team/letters").manifest
    assert manifest.provenance is not None and manifest.evaluation is not None
    recorded = manifest.provenance.hyper_parameters
    prepared = prepare(config, base_folder)
    reported = [sample.row for sample in prepared.held_out]

    assert recorded["held_out_lines"] == lines_in_words(reported)
    assert not {sample.row for sample in prepared.validation} & set(reported)
    assert manifest.evaluation.data_digest == recorded["held_out_digest"] != recorded["validation_digest"]
    assert (recorded["train_rows"], recorded["validation_rows"], recorded["held_out_rows"]) == (72, 4, 4)
    assert recorded["kept_step"] == result.best_step


def test_where_nothing_is_chosen_the_held_out_rows_are_watched_and_all_reported(
    settings: dict[str, Any],
) -> None:
    watcher = RecordingWatcher()
    result = train(TrainConfig(**settings | {"keep": "last"}), watcher)

    assert result.examples == 8
    assert result.best_step == result.steps
    assert any("step 5/10: held-out loss" in line for line in watcher.said)


def test_without_rows_to_choose_on_the_last_adapter_is_kept(settings: dict[str, Any], data: Path) -> None:
    write_jsonl(data, [chat_row("same", f"{n % 3}") for n in range(55)] + [chat_row("other", "x")])
    result = train(TrainConfig(**settings | {"learning_rate": 0.1, "evaluations": 10}))

    assert result.examples == 1
    assert result.best_step == result.steps == 10


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
    settings: dict[str, Any],
) -> None:
    weights = settings["output"] / "adapter" / "adapter_model.safetensors"
    with pytest.raises(RunDamaged, match=r"adapter_model\.safetensors is not as it was written.*train again"):
        train(TrainConfig(**settings), Flips("Scoring", weights))

    assert list(FolderRegistry(Path(settings["registry"])).adapters().items) == []
    assert resume(settings["output"]).version == 1


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
    settings: dict[str, Any], name: str, said: str
) -> None:
    result = train(TrainConfig(**settings | {"registry": None}))
    flip(result.output / name)

    with pytest.raises(RunDamaged, match=said):
        publish_run(result.output, registry=settings["registry"])
    assert not Path(settings["registry"]).exists()


def test_faulty_data_leaves_no_run_behind(settings: dict[str, Any], data: Path) -> None:
    data.write_text(data.read_text() + "{oops\n")

    with pytest.raises(DataRefused, match=r"BAD_JSON .*line 81") as refusal:
        train(TrainConfig(**settings))
    assert refusal.value.report.errors[0].lines == (81,)
    assert not settings["output"].exists()


def test_an_earlier_run_is_not_overwritten(trained: TrainResult, settings: dict[str, Any]) -> None:
    with pytest.raises(RunExists):
        train(TrainConfig(**settings))


def test_without_a_registry_nothing_is_published(settings: dict[str, Any]) -> None:
    result = train(TrainConfig(**(settings | {"registry": None})))

    assert result.version is None
    assert (result.adapter_folder / "adapter_model.safetensors").is_file()


def test_a_run_that_could_not_be_published_is_published_by_resuming(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    failing = FailingRegistry(tmp_path / "failing")
    with pytest.raises(StorageError):
        train(TrainConfig(**settings), registry=failing)
    watcher = RecordingWatcher()
    result = resume(settings["output"], watcher)

    assert result.version == 1
    assert watcher.steps == []
    assert result.digest == train(TrainConfig(**(settings | {"output": tmp_path / "whole"}))).digest


def test_a_run_without_a_registry_is_published_later_with_its_evaluation(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    later = train(TrainConfig(**settings | {"output": tmp_path / "later", "registry": None}))
    version = publish_run(later.output, registry=str(tmp_path / "registry"), name="other/letters")
    manifest = version.manifest

    assert (version.name, version.version) == ("other/letters", 1)
    assert manifest.evaluation is not None and manifest.provenance is not None
    assert manifest.evaluation.metrics == pytest.approx(later.metrics())
    assert manifest.provenance.hyper_parameters["steps"] == later.steps


def test_there_must_be_a_finished_run_and_a_place_to_publish(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    alone = train(TrainConfig(**settings | {"output": tmp_path / "alone", "registry": None}))
    with pytest.raises(NothingToPublish, match="--registry"):
        publish_run(alone.output)
    assert publish_run(alone.output, fallback=str(tmp_path / "usual")).version == 1
    (alone.output / "publication.json").write_text("{}")
    with pytest.raises(RunDamaged, match="parfocal push"):
        publish_run(alone.output, registry=str(tmp_path / "registry"))
    (alone.output / "publication.json").unlink()
    with pytest.raises(NothingToPublish, match="earlier Parfocal"):
        publish_run(alone.output, registry=str(tmp_path / "registry"))
    (alone.output / "result.json").unlink()
    with pytest.raises(NothingToPublish, match="--resume"):
        publish_run(alone.output, registry=str(tmp_path / "registry"))


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
    trained: TrainResult, settings: dict[str, Any], tmp_path: Path
) -> None:
    more = settings | {"output": tmp_path / "more", "parent": "team/letters@1", "learning_rate": 1e-9}
    result = train(TrainConfig(**more))
    version = FolderRegistry(Path(settings["registry"])).resolve("team/letters@2")

    assert result.version == 2
    assert version.manifest.provenance is not None
    assert version.manifest.provenance.parent == "team/letters@1"
    assert result.adapter.loss == pytest.approx(trained.adapter.loss, abs=1e-3)
    assert result.base.loss == trained.base.loss


def test_a_parent_of_another_shape_is_refused(
    trained: TrainResult, settings: dict[str, Any], tmp_path: Path
) -> None:
    more = settings | {"output": tmp_path / "more", "parent": "team/letters", "rank": 8}

    with pytest.raises(ParentMismatch, match="has r 4, this run 8"):
        train(TrainConfig(**more))
