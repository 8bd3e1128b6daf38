"""The same adapter under the names of other trainers becomes the same published adapter."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.registry.peft_folders import Adapter, adapter_tensors, peft_config, safetensors
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.errors import ContractMismatch, UnsupportedAdapter
from parfocal.registry.peft.folder import read_peft_folder
from parfocal.registry.peft.safetensors_header import read_header
from parfocal.registry.publishing.draft import draft
from parfocal.registry.publishing.publication import Publication
from parfocal.registry.values import WEIGHTS_FILE, BaseContract, BaseShape, Manifest

SHAPE = BaseShape(layers=2, hidden=16, intermediate=32, heads=4, kv_heads=2, head_dim=4)
ADAPTER = Adapter(config={"rank_pattern": {}, "alpha_pattern": {r"layers\.0\..*q_proj": 3}})
PREFIX = "base_model.model.model."

RENAMES: dict[str, Callable[[str], str]] = {
    "without PEFT's prefix": lambda name: name.removeprefix("base_model.model."),
    "raw state dict": lambda name: name.replace(".weight", ".default.weight"),
    "another adapter's name": lambda name: name.replace(".weight", ".team-1.weight"),
    "compiled": lambda name: name.replace("base_model.model.", "base_model.model._orig_mod."),
    "compiled outside": lambda name: f"_orig_mod.{name}",
    "DDP": lambda name: f"module.{name}",
    "FSDP and checkpointing": lambda name: name.replace(
        ".self_attn.", "._fsdp_wrapped_module.self_attn._checkpoint_wrapped_module."
    ),
}
MOVES: dict[str, Callable[[str], str]] = {
    "model.language_model": lambda name: name.replace(PREFIX, f"{PREFIX}language_model."),
    "language_model.model": lambda name: name.replace(PREFIX, "base_model.model.language_model.model."),
    "no model": lambda name: name.replace(PREFIX, "base_model.model."),
    "text_model": lambda name: name.replace(PREFIX, "base_model.model.text_model."),
}


def write(folder: Path, rename: Callable[[str], str], config: Mapping[str, object] | None = None) -> Path:
    folder.mkdir()
    tensors = {rename(name): tensor for name, tensor in adapter_tensors(ADAPTER).items()}
    fields = {**peft_config(ADAPTER), **ADAPTER.config, **(config or {})}
    (folder / "adapter_config.json").write_text(json.dumps(fields))
    (folder / WEIGHTS_FILE).write_bytes(safetensors(tensors))
    return folder


def published(folder: Path, home: Path, shape: BaseShape | None = SHAPE) -> tuple[Manifest, FolderBlobs]:
    base = replace(BaseContract.unverified("small-base"), shape=shape)
    blobs = FolderBlobs(home)
    data = draft(folder, Publication(base, unverified_base=True)).store(blobs)
    return Manifest.from_bytes(data), blobs


@pytest.mark.parametrize("how", RENAMES)
def test_wrappers_of_other_trainers_are_taken_off(tmp_path: Path, how: str) -> None:
    plain, _ = published(write(tmp_path / "plain", lambda name: name), tmp_path / "one", shape=None)
    other, _ = published(write(tmp_path / "other", RENAMES[how]), tmp_path / "two", shape=None)
    assert other.contract == plain.contract
    assert other.warnings == ()


@pytest.mark.parametrize("how", [*RENAMES, *MOVES])
def test_what_is_published_has_pefts_names_and_the_same_bytes(tmp_path: Path, how: str) -> None:
    plain, plain_blobs = published(write(tmp_path / "plain", lambda name: name), tmp_path / "one")
    other, blobs = published(write(tmp_path / "other", {**RENAMES, **MOVES}[how]), tmp_path / "two")
    assert other.contract == plain.contract
    with plain_blobs.open(plain.files[1].digest) as expected, blobs.open(other.files[1].digest) as file:
        header, wanted = read_header(file, "other"), read_header(expected, "plain")
        assert header.tensors.keys() == wanted.tensors.keys()
        for name, span in header.tensors.items():
            file.seek(span.begin)
            expected.seek(wanted.tensors[name].begin)
            assert file.read(span.end - span.begin) == expected.read(span.end - span.begin)


@pytest.mark.parametrize("how", MOVES)
def test_a_prefix_of_another_model_is_mapped_with_a_warning(tmp_path: Path, how: str) -> None:
    manifest, blobs = published(write(tmp_path / "other", MOVES[how]), tmp_path / "home")
    [warning] = manifest.warnings
    assert "mapped to the base's names" in warning
    assert manifest.contract.targets[0].path == "model.layers.0.self_attn.q_proj"
    with blobs.open(manifest.files[0].digest) as file:
        config = json.load(file)
    assert config["target_modules"] == [target.path for target in manifest.contract.targets]
    assert config["alpha_pattern"] == {r"^model\.layers\.0\.self_attn\.q_proj$": 3}


def test_what_was_published_under_other_names_is_read_again_as_the_same(tmp_path: Path) -> None:
    first, blobs = published(write(tmp_path / "other", MOVES["model.language_model"]), tmp_path / "one")
    again = tmp_path / "again"
    again.mkdir()
    for entry in first.files:
        with blobs.open(entry.digest) as file:
            (again / entry.path).write_bytes(file.read())
    second, _ = published(again, tmp_path / "two")
    assert (second.contract, second.files[1]) == (first.contract, first.files[1])


def test_where_the_base_is_not_known_a_prefix_stays(tmp_path: Path) -> None:
    folder = write(tmp_path / "other", MOVES["model.language_model"])
    assert read_peft_folder(folder).modules[0].target.path.startswith("model.language_model.layers.0.")


def test_layers_go_where_the_base_has_them(tmp_path: Path) -> None:
    """In transformers, the text decoder of a model of text and images lies deeper."""
    deeper = replace(SHAPE, prefix="model.language_model.")
    for number, move in enumerate([*MOVES.values(), lambda name: name]):
        modules = read_peft_folder(write(tmp_path / f"{number}", move), deeper).modules
        assert modules[0].target.path == "model.language_model.layers.0.self_attn.q_proj"


def test_two_sets_of_layers_are_refused(tmp_path: Path) -> None:
    second = f"{PREFIX}text_model.layers.1"
    folder = write(tmp_path / "two", lambda name: name.replace(f"{PREFIX}layers.1", second))
    with pytest.raises(ContractMismatch, match=r"'model\.' and 'model\.text_model\.'"):
        read_peft_folder(folder, SHAPE)


@pytest.mark.parametrize("prefix", ["vision_tower.", "model.visual.", "audio_tower.model."])
def test_another_kind_of_model_is_refused_where_the_base_is_known(tmp_path: Path, prefix: str) -> None:
    folder = write(tmp_path / "vision", lambda name: name.replace(PREFIX, f"base_model.model.{prefix}"))
    with pytest.raises(ContractMismatch, match="the base has no such linear module"):
        read_peft_folder(folder, SHAPE)


def test_tensors_of_two_adapters_are_refused(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "mixed",
        lambda name: name.replace(".weight", ".a.weight" if "layers.0" in name else ".b.weight"),
    )
    with pytest.raises(UnsupportedAdapter, match=r"2 adapters \(a, b\)"):
        read_peft_folder(folder)


def test_the_selection_is_judged_by_the_names_of_training(tmp_path: Path) -> None:
    config = {"target_modules": r"model\.language_model\.layers\.\d+\.self_attn\.(q|v)_proj"}
    folder = write(tmp_path / "regex", MOVES["model.language_model"], config)
    assert len(read_peft_folder(folder, SHAPE).modules) == 4
