"""What a run publishes is signed and tagged from its first moment, however it comes to be published."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from fakes.signing.signatures import NOW, key_of, trusting
from fakes.training import FailingRegistry, chat_rows, write_jsonl
from parfocal.registry import FolderRegistry, Version
from parfocal.registry.errors import InvalidKey, StorageError
from parfocal.registry.signing import Signed, judge
from parfocal.training import SigningKey, TrainConfig, publish_run, resume, train


def key_file(folder: Path, name: str = "trainer") -> Path:
    """A file with somebody's private key."""
    path = folder / f"{name}.pem"
    path.write_bytes(key_of(name).to_pem())
    return path


def signers(version: Version, registry: Path) -> list[tuple[str, str]]:
    """Who has signed a version, and what is wrong with that."""
    bundles = [each.bundle for each in FolderRegistry(registry).signatures(version.name, version.version)]
    found = judge(Signed.of(version), bundles, trusting("trainer", "later"), NOW)
    return [(each.signer, each.fault) for each in found]


@pytest.fixture(scope="module")
def settings(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("signed")
    return {
        "data": write_jsonl(folder / "data.jsonl", chat_rows(80)),
        "name": "team/letters",
        "base": str(base_folder),
        "registry": str(folder / "registry"),
        "steps": 1,
        "evaluations": 1,
        "rank": 4,
        "tags": ("mail", "language:de"),
        "sign_key": key_file(folder),
    }


@pytest.fixture(scope="module")
def run(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that could not publish, and was resumed."""
    output = tmp_path_factory.mktemp("runs") / "run"
    failing = FailingRegistry(output.parent / "failing")
    with pytest.raises(StorageError):
        train(TrainConfig(**settings | {"output": output}), registry=failing)
    resume(output)
    return output


def test_a_run_that_is_resumed_signs_and_tags_as_it_was_told_at_first(
    run: Path, settings: dict[str, Any]
) -> None:
    version = FolderRegistry(Path(settings["registry"])).resolve("team/letters")

    assert version.manifest.tags == ("language:de", "mail")
    assert signers(version, Path(settings["registry"])) == [("trainer", "")]


def test_a_run_is_signed_with_the_key_that_is_given_when_it_is_published_later(
    run: Path, tmp_path: Path
) -> None:
    copied, key = Path(shutil.copytree(run, tmp_path / "run")), SigningKey(file=key_file(tmp_path, "later"))

    version = publish_run(copied, registry=str(tmp_path / "registry"), key=key)

    assert version.manifest.tags == ("language:de", "mail")
    assert signers(version, tmp_path / "registry") == [("later", "")]


def test_a_key_that_is_none_is_refused_before_anything_is_trained(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("no key")

    with pytest.raises(InvalidKey):
        train(TrainConfig(**settings | {"output": tmp_path / "run", "sign_key": tmp_path / "key"}))
    assert not (tmp_path / "run").exists()
