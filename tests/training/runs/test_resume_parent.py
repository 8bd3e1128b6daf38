"""A stopped run goes on from the adapter that it began with, whatever has been published since."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from fakes.training import StopsAt, weights
from parfocal.registry import FolderRegistry, Publication
from parfocal.training import (
    Interrupted,
    ParentMismatch,
    TrainConfig,
    TrainResult,
    publish_run,
    resume,
    train,
)


@pytest.fixture(scope="module")
def parents(whole: TrainResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with two versions of team/parent, of which prod is the first."""
    registry = tmp_path_factory.mktemp("parents") / "registry"
    publish_run(whole.output, registry=str(registry), name="team/parent")
    publish_other(FolderRegistry(registry), whole)
    FolderRegistry(registry).set_alias("team/parent", "prod", 1)
    return registry


def publish_other(registry: FolderRegistry, run: TrainResult) -> None:
    """Publishes the run's adapter as the next team/parent, its weights moved by the number of versions."""
    folder = shutil.copytree(run.adapter_folder, registry.path.with_name("other"), dirs_exist_ok=True)
    file = Path(folder) / "adapter_model.safetensors"
    tensors = load_file(file)
    moved = len(registry.versions("team/parent").items)
    save_file({name: tensor + moved for name, tensor in tensors.items()}, file)
    publication = Publication(registry.resolve("team/parent").manifest.contract.base)
    registry.publish("team/parent", Path(folder), publication)


@pytest.fixture
def registry(parents: Path, tmp_path: Path) -> FolderRegistry:
    """A copy of `parents`."""
    return FolderRegistry(shutil.copytree(parents, tmp_path / "registry"))


def child_of(parent: str, settings: dict[str, Any], registry: Path) -> dict[str, Any]:
    return settings | {"name": "team/child", "parent": parent, "registry": str(registry), "steps": 4}


@pytest.fixture(scope="module")
def straight(shared: dict[str, Any], parents: Path) -> TrainResult:
    """A child of the first parent, trained in one piece."""
    folder: Path = shared["output"].with_name("straight")
    registry = Path(shutil.copytree(parents, folder.with_name("registry of straight")))
    return train(TrainConfig(**child_of("team/parent@1", shared, registry) | {"output": folder}))


@pytest.fixture(scope="module")
def halted_child(shared: dict[str, Any], parents: Path) -> Path:
    """The same child by the parent's alias, stopped on its way."""
    settings = child_of("team/parent@prod", shared, parents)
    folder: Path = shared["output"].with_name("child")
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings | {"output": folder}), StopsAt(2))
    return folder


@pytest.fixture
def child(halted_child: Path, tmp_path: Path) -> Path:
    """A copy of the stopped child."""
    return Path(shutil.copytree(halted_child, tmp_path / "child"))


@pytest.mark.parametrize("stopped_early", [False, True])
def test_the_parent_stays_what_the_alias_meant_when_the_run_began(
    child: Path, straight: TrainResult, registry: FolderRegistry, stopped_early: bool
) -> None:
    registry.set_alias("team/parent", "prod", 2)
    if stopped_early:
        shutil.rmtree(child / "checkpoints")
    result = resume(child, settings={"registry": str(registry.path)})
    provenance = registry.resolve(f"team/child@{result.version}").manifest.provenance

    assert provenance is not None
    assert provenance.parent == "team/parent@1"
    assert provenance.hyper_parameters["parent_digest"] == registry.resolve("team/parent@1").digest
    assert weights(child) == weights(straight.output)


def test_a_parent_without_a_version_stays_the_latest_of_then(
    settings: dict[str, Any], registry: FolderRegistry, whole: TrainResult
) -> None:
    with pytest.raises(Interrupted):
        train(TrainConfig(**child_of("team/parent", settings, registry.path)), StopsAt(2))
    publish_other(registry, whole)
    assert registry.resolve("team/parent").version == 3
    resume(settings["output"])
    provenance = registry.resolve("team/child").manifest.provenance

    assert provenance is not None
    assert provenance.parent == "team/parent@2"


def test_a_registry_without_the_parent_does_only_once_there_is_a_checkpoint(
    child: Path, registry: FolderRegistry, tmp_path: Path
) -> None:
    digest = registry.resolve("team/parent@1").digest
    shutil.copytree(child, tmp_path / "early")
    elsewhere = {"registry": str(tmp_path / "elsewhere")}
    resume(child, settings=elsewhere)
    provenance = FolderRegistry(tmp_path / "elsewhere").resolve("team/child").manifest.provenance
    assert provenance is not None
    assert provenance.hyper_parameters["parent_digest"] == digest

    shutil.rmtree(tmp_path / "early" / "checkpoints")
    with pytest.raises(ParentMismatch, match=f"began from team/parent@1 .{digest}.*start a new run"):
        resume(tmp_path / "early", settings=elsewhere)
    with pytest.raises(ParentMismatch, match=r"began from team/parent@1 .*--registry"):
        resume(tmp_path / "early", settings={"registry": None})
