"""PEFT folders: what is read from them, and everything that keeps one from being published."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.peft_folders import Tensor, raw_safetensors
from parfocal.registry.errors import (
    AdapterRefused,
    ContractMismatch,
    MalformedFile,
    PickleRefused,
    UnsupportedAdapter,
)
from parfocal.registry.peft.folder import MAX_CONFIG_BYTES, read_peft_folder
from parfocal.registry.values import BaseShape, TargetModule

Write = Callable[..., Path]
SHAPE = BaseShape(layers=2, hidden=16, intermediate=32, heads=4, kv_heads=2, head_dim=4)
Q0 = "base_model.model.model.layers.0.self_attn.q_proj"
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def test_every_module_of_a_good_folder_is_known(adapter: Write) -> None:
    folder = read_peft_folder(adapter(modules=ALL_LINEAR), SHAPE)
    assert len(folder.modules) == 14
    assert folder.modules[0].target == TargetModule("model.layers.0.mlp.down_proj", 32, 16, 4, 8.0)
    assert folder.warnings == ()


def test_ranks_and_alphas_follow_their_patterns(adapter: Write) -> None:
    tensors = {f"{Q0}.lora_A.weight": Tensor((2, 16)), f"{Q0}.lora_B.weight": Tensor((16, 2))}
    config = {"rank_pattern": {"layers.0.self_attn.q_proj": 2}, "alpha_pattern": {"q_proj": 64}}
    targets = {
        m.target.path: m.target for m in read_peft_folder(adapter(tensors=tensors, config=config)).modules
    }
    assert (
        targets["model.layers.0.self_attn.q_proj"].rank,
        targets["model.layers.0.self_attn.q_proj"].alpha,
    ) == (2, 64)
    assert (
        targets["model.layers.1.self_attn.q_proj"].rank,
        targets["model.layers.1.self_attn.v_proj"].alpha,
    ) == (4, 8)


@pytest.mark.parametrize(
    ("name", "tensor", "error", "why"),
    [
        (f"{Q0}.lora_A.weight", Tensor((3, 16)), ContractMismatch, "rank 3, its lora_B has rank 4"),
        (
            f"{Q0}.lora_A.weight",
            Tensor((4, 15)),
            ContractMismatch,
            "in_features of .*q_proj is 15 .*, 16 in the base",
        ),
        (f"{Q0}.lora_B.weight", Tensor((17, 4)), ContractMismatch, "out_features of .*q_proj is 17"),
        (f"{Q0}.lora_B.weight", Tensor((4,)), ContractMismatch, "shape"),
        (f"{Q0}.lora_B.weight", Tensor((16, 4, 1, 1)), ContractMismatch, "shape"),
        (f"{Q0}.lora_B.weight", Tensor((0, 4)), ContractMismatch, "shape"),
        (f"{Q0}.lora_B.weight", None, MalformedFile, "no lora_B"),
        (f"{Q0}.lora_A.weight", None, MalformedFile, "no lora_A"),
        (f"{Q0}.lora_A.weight", Tensor((4, 16), "F64"), UnsupportedAdapter, "F64"),
        (f"{Q0}.lora_A.weight", Tensor((4, 16), "I64"), UnsupportedAdapter, "I64"),
        (f"{Q0}.lora_magnitude_vector.weight", Tensor((16,)), UnsupportedAdapter, "DoRA"),
        (f"{Q0}.lora_A.default.weight", Tensor((4, 16)), UnsupportedAdapter, "save_pretrained"),
        (f"{Q0}.lora_B.bias", Tensor((16,)), UnsupportedAdapter, "bias"),
        (
            "base_model.model.model.embed_tokens.lora_embedding_A",
            Tensor((4, 64)),
            UnsupportedAdapter,
            "embedding",
        ),
        ("base_model.model.model.embed_tokens.weight", Tensor((64, 16)), UnsupportedAdapter, "vocabulary"),
        ("base_model.model.lm_head.weight", Tensor((64, 16)), UnsupportedAdapter, "vocabulary"),
        ("whatever", Tensor((1,)), UnsupportedAdapter, "no lora_A or lora_B"),
    ],
)
def test_a_tensor_that_does_not_belong_or_fit_is_refused(
    adapter: Write, name: str, tensor: Tensor | None, error: type[AdapterRefused], why: str
) -> None:
    with pytest.raises(error, match=why) as refused:
        read_peft_folder(adapter(tensors={name: tensor}), SHAPE)
    assert refused.value.field


def test_a_rank_that_the_configuration_does_not_say_is_refused(adapter: Write) -> None:
    with pytest.raises(ContractMismatch, match=r"has rank 4, adapter_config\.json says 8") as refused:
        read_peft_folder(adapter(config={"r": 8}))
    assert refused.value.metadata == {"expected": "8", "actual": "4"}


def test_tensors_that_target_modules_does_not_select_are_refused(adapter: Write) -> None:
    with pytest.raises(ContractMismatch, match="v_proj has tensors, but target_modules"):
        read_peft_folder(adapter(config={"target_modules": ["q_proj"]}))


def test_a_regular_expression_leaves_the_choice_to_the_tensors(adapter: Write) -> None:
    assert len(read_peft_folder(adapter(config={"target_modules": r".*\.(q|v)_proj"})).modules) == 4


def test_a_layer_that_the_base_does_not_have_is_refused(adapter: Write) -> None:
    with pytest.raises(ContractMismatch, match="layer 2, the base has layers 0 to 1"):
        read_peft_folder(adapter(layers=(2,)), SHAPE)


def test_the_output_layer_is_refused_by_name(adapter: Write) -> None:
    path = "base_model.model.lm_head"
    tensors = {f"{path}.lora_A.weight": Tensor((4, 16)), f"{path}.lora_B.weight": Tensor((64, 4))}
    config = {"target_modules": ["q_proj", "v_proj", "lm_head"]}
    with pytest.raises(UnsupportedAdapter, match="lm_head"):
        read_peft_folder(adapter(tensors=tensors, config=config))


def test_a_module_with_an_unusual_name_is_left_to_serving(adapter: Write) -> None:
    path = "base_model.model.model.layers.0.mixer.in_proj"
    tensors = {f"{path}.lora_A.weight": Tensor((4, 7)), f"{path}.lora_B.weight": Tensor((9, 4))}
    config = {"target_modules": ["q_proj", "v_proj", "in_proj"]}
    assert len(read_peft_folder(adapter(tensors=tensors, config=config), SHAPE).modules) == 5


def test_an_adapter_without_tensors_is_refused(adapter: Write) -> None:
    with pytest.raises(MalformedFile, match="no tensor"):
        read_peft_folder(adapter(layers=()))


def test_an_adapter_that_changes_nothing_is_reported(adapter: Write) -> None:
    tensors = {f"base_model.model.model.layers.{n}.self_attn.{m}.lora_B.weight": Tensor((f, 4), fill=0)
               for n in (0, 1) for m, f in (("q_proj", 16), ("v_proj", 8))}  # fmt: skip
    assert read_peft_folder(adapter(tensors=tensors)).warnings == (
        "every lora_B is all zero: this adapter changes nothing",
    )


def test_modules_that_change_nothing_are_reported_by_name(adapter: Write) -> None:
    [warning] = read_peft_folder(adapter(tensors={f"{Q0}.lora_B.weight": Tensor((16, 4), fill=0)})).warnings
    assert warning.startswith("lora_B is all zero in 1 of 4 modules")
    assert "model.layers.0.self_attn.q_proj" in warning


@pytest.mark.parametrize(
    "name", ["adapter_model.bin", "training_args.bin", "optimizer.pt", "x.PKL", "rng.pth"]
)
def test_a_pickle_in_the_folder_is_refused_by_name(adapter: Write, name: str) -> None:
    folder = adapter()
    (folder / name).write_bytes(b"x")
    with pytest.raises(PickleRefused, match=name) as refused:
        read_peft_folder(folder)
    assert refused.value.field == name


def test_a_pickle_under_the_name_of_the_weights_is_refused(adapter: Write) -> None:
    folder = adapter()
    (folder / "adapter_model.safetensors").write_bytes(b"\x80\x04\x95" + b"\0" * 100)
    with pytest.raises(PickleRefused, match="pickle"):
        read_peft_folder(folder)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_link_is_not_followed(adapter: Write, tmp_path: Path, name: str) -> None:
    folder = adapter()
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdapterRefused, match="symbolic link"):
        read_peft_folder(folder)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_folder_without_one_of_the_two_files_is_refused(adapter: Write, name: str) -> None:
    folder = adapter()
    (folder / name).unlink()
    with pytest.raises(AdapterRefused, match=f"has no {name}"):
        read_peft_folder(folder)


def test_a_pipe_in_place_of_the_weights_is_refused_without_waiting(adapter: Write) -> None:
    folder = adapter()
    (folder / "adapter_model.safetensors").unlink()
    os.mkfifo(folder / "adapter_model.safetensors")
    with pytest.raises(AdapterRefused, match="not a regular file"):
        read_peft_folder(folder)


def test_other_weights_beside_the_adapter_are_refused(adapter: Write) -> None:
    folder = adapter()
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"x")
    with pytest.raises(AdapterRefused, match="other weights"):
        read_peft_folder(folder)


def test_a_big_unexpected_file_is_refused(adapter: Write) -> None:
    folder = adapter()
    with (folder / "notes.txt").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(AdapterRefused, match=r"notes\.txt"):
        read_peft_folder(folder)


def test_an_oversized_configuration_is_refused(adapter: Write) -> None:
    folder = adapter()
    (folder / "adapter_config.json").write_bytes(b" " * (MAX_CONFIG_BYTES + 1))
    with pytest.raises(MalformedFile, match="at most"):
        read_peft_folder(folder)


def test_cards_tokenizers_and_subfolders_are_left_alone(adapter: Write) -> None:
    folder = adapter()
    (folder / "README.md").write_text("# An adapter")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "runs").mkdir()
    assert len(read_peft_folder(folder).modules) == 4


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(AdapterRefused, match="not a folder"):
        read_peft_folder(tmp_path / "file")


def test_a_header_that_lies_about_its_offsets_is_refused(adapter: Write) -> None:
    folder = adapter()
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}
    data = raw_safetensors(json.dumps({f"{Q0}.lora_A.weight": entry}).encode(), b"\0" * 4)
    (folder / "adapter_model.safetensors").write_bytes(data)
    with pytest.raises(MalformedFile, match="span 400 bytes"):
        read_peft_folder(folder)
