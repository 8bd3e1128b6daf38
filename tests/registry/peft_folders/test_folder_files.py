"""Which folders are adapters: leftovers are not looked at, and what is no adapter is called what it is."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from parfocal.registry.errors import AdapterRefused, MalformedFile, PickleRefused
from parfocal.registry.peft.folder import MAX_CONFIG_BYTES, read_peft_folder

Write = Callable[..., Path]
WEIGHTS = "adapter_model.safetensors"


@pytest.mark.parametrize(
    "name",
    [
        "training_args.bin",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "rng_state_0.pth",
        "scaler.pt",
        "trainer_state.json",
        "adapter_model.bin",
        "tokenizer.json",
        "tokenizer.model",
        "special_tokens_map.json",
        "README.md",
        "events.out.tfevents.1",
        "._adapter_model.safetensors",
        "._adapter_config.json",
        ".DS_Store",
        "model-00001-of-00002.safetensors",
        "ggml-adapter-model.gguf",
    ],
)
def test_what_lies_beside_the_adapter_is_left_unread(adapter: Write, name: str) -> None:
    folder = adapter()
    (folder / name).write_bytes(b"\x80\x04not to be opened")
    (folder / name).chmod(0)
    read = read_peft_folder(folder)
    assert len(read.modules) == 4
    assert read.warnings == ()


@pytest.mark.parametrize("name", ["runs", "global_step60", "__MACOSX", "checkpoint-60"])
def test_subfolders_are_left_alone(adapter: Write, name: str) -> None:
    folder = adapter()
    (folder / name).mkdir()
    (folder / name / "mp_rank_00_model_states.pt").write_bytes(b"x")
    assert len(read_peft_folder(folder).modules) == 4


def test_leftovers_may_be_large_many_and_links(adapter: Write) -> None:
    folder = adapter()
    with (folder / "optimizer.pt").open("wb") as file:
        file.truncate(1 << 40)
    (folder / "latest").symlink_to("/etc/passwd")
    for number in range(1500):
        (folder / f"log-{number}").touch()
    assert len(read_peft_folder(folder).modules) == 4


@pytest.mark.parametrize(
    ("names", "error", "what"),
    [
        (["adapter_model.bin"], PickleRefused, r"adapter_model\.bin' is a pickle.*save_pretrained"),
        (["training_args.bin", "optimizer.pt"], AdapterRefused, "has no adapter_model.safetensors; a PEFT"),
        (["adapter_0.pt", "adapter_config.json"], PickleRefused, r"adapter_0\.pt' is a pickle"),
        (["adapters.safetensors", "0000100_adapters.safetensors"], AdapterRefused, "an MLX adapter; convert"),
        (
            ["adapters.npz", "adapter_config.json"],
            AdapterRefused,
            r"adapters\.npz' is an MLX adapter; convert",
        ),
        (["0000200_adapters.safetensors"], AdapterRefused, "an MLX adapter; convert"),
        (["0000100_adapters.npz", "README.md"], AdapterRefused, "an MLX adapter; convert"),
        (["adapter_model-00001-of-00002.safetensors"], AdapterRefused, "split over several files"),
        (["adapter.gguf"], AdapterRefused, r"a llama\.cpp file"),
        (["model.safetensors", "config.json"], AdapterRefused, "a whole model"),
        (["pytorch_model.bin"], AdapterRefused, "a whole model"),
        (["lora.safetensors"], AdapterRefused, "rename it to adapter_model"),
        (["._adapter_model.safetensors", ".DS_Store"], AdapterRefused, "has no adapter_model.safetensors; a"),
        ([], AdapterRefused, "has no adapter_model.safetensors; a PEFT folder holds"),
    ],
)
def test_a_folder_without_the_weights_is_called_what_it_is(
    tmp_path: Path, names: list[str], error: type[AdapterRefused], what: str
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(error, match=what):
        read_peft_folder(tmp_path)


@pytest.mark.parametrize("inside", [["checkpoint-60", "checkpoint-120"], ["my-adapter"]])
def test_the_folder_inside_that_holds_the_adapter_is_named(
    adapter: Write, tmp_path: Path, inside: list[str]
) -> None:
    outer = tmp_path / "outer"
    (outer / "__MACOSX").mkdir(parents=True)
    for name in inside:
        shutil.copytree(adapter(), outer / name)
    with pytest.raises(AdapterRefused, match=f"{inside[-1]} has both"):
        read_peft_folder(outer)


@pytest.mark.parametrize("name", ["adapter_config.json", WEIGHTS])
def test_a_link_is_not_followed(adapter: Write, tmp_path: Path, name: str) -> None:
    folder = adapter()
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdapterRefused, match="symbolic link"):
        read_peft_folder(folder)


def test_the_hubs_cache_is_read_although_it_consists_of_links(adapter: Write, tmp_path: Path) -> None:
    plain, cache = adapter(), tmp_path / "models--org--adapter"
    snapshot = cache / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for number, name in enumerate(("adapter_config.json", WEIGHTS)):
        blob = f"{number:064x}"
        shutil.copy(plain / name, cache / "blobs" / blob)
        (snapshot / name).symlink_to(f"../../blobs/{blob}")
    assert len(read_peft_folder(snapshot).modules) == 4


@pytest.mark.parametrize(
    "target", ["../../secret", "../../blobs/../secret", "/etc/passwd", "../../blobs/key"]
)
def test_a_link_of_another_kind_in_the_hubs_cache_is_not_followed(
    adapter: Write, tmp_path: Path, target: str
) -> None:
    snapshot = tmp_path / "models--org--adapter" / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    adapter().rename(snapshot)
    (snapshot / WEIGHTS).unlink()
    (snapshot / WEIGHTS).symlink_to(target)
    with pytest.raises(AdapterRefused, match="symbolic link"):
        read_peft_folder(snapshot)


@pytest.mark.parametrize("name", ["adapter_config.json", WEIGHTS])
def test_a_folder_without_one_of_the_two_files_is_refused(adapter: Write, name: str) -> None:
    folder = adapter()
    (folder / name).unlink()
    with pytest.raises(AdapterRefused, match=f"has no {name}"):
        read_peft_folder(folder)


def test_a_pickle_under_the_name_of_the_weights_is_refused(adapter: Write) -> None:
    folder = adapter()
    (folder / WEIGHTS).write_bytes(b"\x80\x04\x95" + b"\0" * 100)
    with pytest.raises(PickleRefused, match="pickle"):
        read_peft_folder(folder)


def test_a_pointer_of_git_lfs_is_called_so(adapter: Write) -> None:
    folder = adapter()
    (folder / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(MalformedFile, match="git lfs pull"):
        read_peft_folder(folder)


def test_a_pipe_in_place_of_the_weights_is_refused_without_waiting(adapter: Write) -> None:
    folder = adapter()
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)
    with pytest.raises(AdapterRefused, match="not a regular file"):
        read_peft_folder(folder)


def test_an_oversized_configuration_is_refused(adapter: Write) -> None:
    folder = adapter()
    (folder / "adapter_config.json").write_bytes(b" " * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(MalformedFile, match="at most"):
        read_peft_folder(folder)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(AdapterRefused, match="not a folder"):
        read_peft_folder(tmp_path / "file")


def test_an_mlx_configuration_beside_renamed_weights_is_still_called_so(adapter: Write) -> None:
    folder = adapter()
    config = {"fine_tune_type": "dora", "lora_parameters": {"rank": 8, "scale": 20.0}}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(AdapterRefused, match="this is an MLX adapter"):
        read_peft_folder(folder)
