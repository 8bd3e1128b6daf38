"""PEFT folders: what is read from them, and everything that keeps one from being published."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.registry.peft_folders import Tensor, raw_safetensors
from parfocal.registry.errors import (
    AdapterRefused,
    ContractMismatch,
    MalformedFile,
    UnsupportedAdapter,
)
from parfocal.registry.peft.folder import read_peft_folder
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
        (
            f"{Q0}.lora_A.weight",
            Tensor((3, 16)),
            ContractMismatch,
            "rank 3, its lora_B has rank 4.*save the adapter",
        ),
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
        (f"{Q0}.lora_B.weight", None, MalformedFile, "no lora_B.*save the adapter again"),
        (f"{Q0}.lora_A.weight", None, MalformedFile, "no lora_A.*save the adapter again"),
        (f"{Q0}.lora_A.weight", Tensor((4, 16), "F64"), UnsupportedAdapter, "F64"),
        (f"{Q0}.lora_A.weight", Tensor((4, 16), "I64"), UnsupportedAdapter, "I64"),
        (f"{Q0}.lora_magnitude_vector.weight", Tensor((16,)), UnsupportedAdapter, "DoRA"),
        (f"{Q0}.lora_A.default.weight", Tensor((4, 16)), UnsupportedAdapter, "2 adapters"),
        (f"{Q0}.base_layer.weight", Tensor((16, 16)), UnsupportedAdapter, "save_pretrained"),
        (f"{Q0}.lora_down.weight", Tensor((4, 16)), UnsupportedAdapter, "diffusion"),
        (f"{Q0}.lora_a", Tensor((16, 4)), UnsupportedAdapter, "MLX"),
        (f"{Q0[17:]}.lora_A.weight", Tensor((4, 16)), MalformedFile, "are the same factor"),
        ("x" * 501, Tensor((4, 16)), UnsupportedAdapter, "501 characters"),
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


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"target_modules": ["q_proj"]}, "v_proj has tensors, but target_modules .* with 1 other modules"),
        ({"target_modules": r".*layers\.0\..*"}, r"layers\.1\..* has tensors, but target_modules"),
        ({"exclude_modules": ["v_proj"]}, "v_proj has tensors, but exclude_modules"),
        (
            {"layers_to_transform": [1]},
            r"layers\.0\..*, but layers_to_transform .* it is '\[1\]'",
        ),
    ],
)
def test_tensors_that_the_configuration_leaves_out_are_refused(
    adapter: Write, config: dict[str, object], message: str
) -> None:
    with pytest.raises(ContractMismatch, match=message) as refused:
        read_peft_folder(adapter(config=config))
    assert refused.value.field in config


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": r".*\.(q|v)_proj"},
        {"target_modules": "all-linear"},
        {"target_modules": ["q_proj", "v_proj", "o_proj"], "exclude_modules": ["o_proj"]},
        {"layers_to_transform": [0, 1], "layers_pattern": "layers"},
    ],
)
def test_a_selection_that_holds_every_tensor_is_accepted(adapter: Write, config: dict[str, object]) -> None:
    assert len(read_peft_folder(adapter(config=config), SHAPE).modules) == 4


def test_a_layer_that_the_base_does_not_have_is_refused(adapter: Write) -> None:
    with pytest.raises(ContractMismatch, match="layer 2, the base has layers 0 to 1"):
        read_peft_folder(adapter(layers=(2,)), SHAPE)


def test_the_output_layer_is_refused_by_name(adapter: Write) -> None:
    path = "base_model.model.lm_head"
    tensors = {f"{path}.lora_A.weight": Tensor((4, 16)), f"{path}.lora_B.weight": Tensor((64, 4))}
    config = {"target_modules": ["q_proj", "v_proj", "lm_head"]}
    with pytest.raises(UnsupportedAdapter, match="lm_head"):
        read_peft_folder(adapter(tensors=tensors, config=config))


def test_a_module_that_the_base_does_not_have_is_refused_where_the_base_is_known(adapter: Write) -> None:
    path = "base_model.model.model.layers.0.mixer.in_proj"
    tensors = {f"{path}.lora_A.weight": Tensor((4, 7)), f"{path}.lora_B.weight": Tensor((9, 4))}
    folder = adapter(tensors=tensors, config={"target_modules": ["q_proj", "v_proj", "in_proj"]})
    assert len(read_peft_folder(folder).modules) == 5
    with pytest.raises(ContractMismatch, match=r"no such linear module; it has .* to model\.layers\.1"):
        read_peft_folder(folder, SHAPE)


@pytest.mark.parametrize("fused", [True, False])
def test_projections_that_the_base_has_in_another_form_are_refused(adapter: Write, fused: bool) -> None:
    """As an adapter for a Phi-3 whose projections were split meets Phi-3 itself."""
    folder = adapter(modules=("o_proj", "gate_proj" if fused else "gate_up_proj"))
    name = "gate_proj" if fused else "gate_up_proj"
    with pytest.raises(ContractMismatch, match=rf"mlp\.{name} is adapted, but the base has no such"):
        read_peft_folder(folder, replace(SHAPE, fused=fused))


@pytest.mark.parametrize("value", [0x7F, 0xFF])
def test_a_weight_that_is_not_finite_is_refused(adapter: Write, value: int) -> None:
    name = f"{Q0}.lora_B.weight"
    with pytest.raises(MalformedFile, match=rf"tensor {name} holds an infinity or NaN at \[0, 0\]"):
        read_peft_folder(adapter(tensors={name: Tensor((16, 4), "F16", fill=value)}))


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


def test_a_header_that_lies_about_its_offsets_is_refused(adapter: Write) -> None:
    folder = adapter()
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}
    data = raw_safetensors(json.dumps({f"{Q0}.lora_A.weight": entry}).encode(), b"\0" * 4)
    (folder / "adapter_model.safetensors").write_bytes(data)
    with pytest.raises(MalformedFile, match="span 400 bytes"):
        read_peft_folder(folder)


@pytest.mark.parametrize(
    ("layers", "config", "shape", "missing"),
    [
        ((0,), {}, SHAPE, ["model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"]),
        ((0, 1), {"target_modules": ["q_proj", "v_proj", "k_proj"]}, SHAPE,
         ["model.layers.0.self_attn.k_proj", "model.layers.1.self_attn.k_proj"]),
        ((0, 2), {}, None, ["model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.v_proj"]),
        ((0,), {"layers_to_transform": [0]}, SHAPE, []),
        ((1,), {"target_modules": r".*layers\.1\..*_proj"}, SHAPE,
         [f"model.layers.1.mlp.{name}" for name in ("down_proj", "gate_proj", "up_proj")]),
        ((0,), {}, None, []),
    ],
)  # fmt: skip
def test_selected_modules_without_tensors_are_reported(
    adapter: Write,
    layers: tuple[int, ...],
    config: dict[str, object],
    shape: BaseShape | None,
    missing: list[str],
) -> None:
    warnings = read_peft_folder(adapter(layers=layers, config=config), shape).warnings
    assert bool(warnings) == bool(missing)
    assert all(name in warnings[0] or warnings[0].endswith("…") for name in missing)
    assert all("selected, but without tensors" in warning for warning in warnings)


def test_a_base_of_countless_layers_is_not_counted(adapter: Write) -> None:
    shape = BaseShape(layers=2**31, hidden=16, intermediate=32, heads=4, kv_heads=2, head_dim=4)
    assert read_peft_folder(adapter(), shape).warnings == ()
