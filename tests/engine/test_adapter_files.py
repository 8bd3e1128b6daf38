"""Reading PEFT folders: what PEFT saves is computed as PEFT computes it, anything else is refused by name."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.layer import Linear as LoraLinear
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from parfocal.engine.adapter_files import WEIGHTS_FILE, LoraWeights, read_adapter
from parfocal.engine.adapter_settings import CONFIG_FILE
from parfocal.engine.errors import AdapterCorrupt, AdapterRefused

DIGEST = "sha256:" + "0" * 64
Q0 = "model.layers.0.self_attn.q_proj"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"]


@pytest.fixture
def base() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=96,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config)


@pytest.fixture
def shapes(base: LlamaForCausalLM) -> dict[str, tuple[int, int]]:
    linears = {path: m for path, m in base.named_modules() if isinstance(m, torch.nn.Linear)}
    return {path: (m.in_features, m.out_features) for path, m in linears.items()}


@pytest.fixture
def folder(tmp_path: Path, shapes: Mapping[str, tuple[int, int]]) -> Path:
    """A plain rank-4 adapter of one module, written by hand."""
    in_features, out_features = shapes[Q0]
    write_weights(tmp_path, a=torch.ones(4, in_features), b=torch.ones(out_features, 4))
    write_config(tmp_path, {})
    return tmp_path


def write_config(folder: Path, changes: Mapping[str, object]) -> None:
    fields = {"peft_type": "LORA", "r": 4, "lora_alpha": 4, "bias": "none", **changes}
    (folder / CONFIG_FILE).write_text(json.dumps(fields))


def write_weights(folder: Path, a: torch.Tensor, b: torch.Tensor, path: str = Q0) -> None:
    stem = f"base_model.model.{path}"
    save_file({f"{stem}.lora_A.weight": a, f"{stem}.lora_B.weight": b}, folder / WEIGHTS_FILE)


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    change(tensors)
    save_file(tensors, folder / WEIGHTS_FILE)


def read(folder: Path, shapes: Mapping[str, tuple[int, int]], max_rank: int = 64) -> LoraWeights:
    return read_adapter(folder, DIGEST, shapes, torch.float32, max_rank)


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 8, "lora_alpha": 16},
        {"r": 8, "lora_alpha": 12, "use_rslora": True},
        {"r": 4, "rank_pattern": {"q_proj": 16, "layers.1.mlp.up_proj": 2}, "alpha_pattern": {"v_proj": 3}},
        {"r": 4, "rank_pattern": {r"model.layers.\d.self_attn.(k|v)_proj": 7}, "use_rslora": True},
        {"r": 4, "rank_pattern": {"^model.layers.0.mlp.up_proj": 5, "q_proj": 9, "self_attn.q_proj": 6}},
    ],
    ids=["plain", "rslora", "patterns", "expressions", "first pattern wins"],
)
def test_every_module_adds_what_peft_adds(
    base: LlamaForCausalLM,
    shapes: Mapping[str, tuple[int, int]],
    tmp_path: Path,
    settings: dict[str, Any],
) -> None:
    model = peft_model(base, settings)
    model.save_pretrained(str(tmp_path))

    weights = read_adapter(tmp_path, DIGEST, shapes, torch.float32, 64)

    layers = {path: m for path, m in base.named_modules() if isinstance(m, LoraLinear)}
    assert weights.modules.keys() == layers.keys()
    for path, layer in layers.items():
        pair = weights.modules[path]
        assert pair.a.shape[0] == layer.r["default"]
        inputs = torch.randn(3, shapes[path][0])
        expected = inputs @ layer.get_delta_weight("default").T
        torch.testing.assert_close(inputs @ pair.a.T @ pair.b.T, expected, rtol=1e-5, atol=1e-6)


def peft_model(base: LlamaForCausalLM, settings: dict[str, Any]) -> PeftModel:
    model = get_peft_model(base, LoraConfig(target_modules=TARGETS, task_type="CAUSAL_LM", **settings))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def test_rank_and_size_are_those_of_the_matrices(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
    weights = read_adapter(folder, DIGEST, shapes, torch.bfloat16, 64)

    assert weights.rank == 4
    assert weights.size_bytes == 2 * (4 * 64 + 64 * 4)
    assert {pair.a.dtype for pair in weights.modules.values()} == {torch.bfloat16}


def test_the_scale_is_applied_before_a_narrow_type_rounds(
    folder: Path, shapes: Mapping[str, tuple[int, int]]
) -> None:
    write_weights(folder, torch.ones(4, 64), torch.full((64, 4), 1.001))
    write_config(folder, {"lora_alpha": 4000})

    pair = read_adapter(folder, DIGEST, shapes, torch.bfloat16, 64).modules[Q0]

    assert pair.b[0, 0] == torch.tensor(1001.0).to(torch.bfloat16)


def test_matrices_survive_the_file(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
    weights = read_adapter(folder, DIGEST, shapes, torch.float32, 64)

    with (folder / WEIGHTS_FILE).open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(0)
        file.write(b"\0" * size)

    assert weights.modules[Q0].a.eq(1.0).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("peft_type", "LOHA"),
        ("peft_type", None),
        ("task_type", "SEQ_CLS"),
        ("bias", "lora_only"),
        ("use_dora", True),
        ("lora_bias", True),
        ("modules_to_save", ["lm_head"]),
        ("trainable_token_indices", [3]),
        ("layer_replication", [[0, 1]]),
        ("target_parameters", ["experts.gate_up_proj"]),
        ("alora_invocation_tokens", [1, 2]),
        ("fan_in_fan_out", True),
        ("use_qalora", True),
        ("arrow_config", {"top_k": 2}),
        ("megatron_config", {"a": 1}),
        ("init_lora_weights", "pissa_niter_4"),
        ("init_lora_weights", "olora"),
        ("a_field_of_next_year", 0.5),
    ],
)
def test_a_field_that_cannot_be_honoured_is_refused_by_name(
    folder: Path, shapes: Mapping[str, tuple[int, int]], name: str, value: object
) -> None:
    write_config(folder, {name: value})

    with pytest.raises(AdapterRefused, match=name) as refusal:
        read(folder, shapes)

    assert repr(value) in str(refusal.value)
    assert refusal.value.metadata == {"config_field": name, "digest": DIGEST}


def test_fields_that_are_off_or_only_for_training_are_accepted(
    folder: Path, shapes: Mapping[str, tuple[int, int]]
) -> None:
    off: dict[str, object] = dict.fromkeys(("use_dora", "a_field_of_next_year"), False)
    off |= {"modules_to_save": None, "megatron_config": {}}
    write_config(
        folder, {**off, "lora_dropout": 0.1, "init_lora_weights": "gaussian", "task_type": "CAUSAL_LM"}
    )

    assert read(folder, shapes).rank == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("r", 0),
        ("r", True),
        ("r", "8"),
        ("lora_alpha", "high"),
        ("lora_alpha", float("nan")),
        ("rank_pattern", ["q_proj"]),
        ("rank_pattern", {"q_proj": 0}),
        ("alpha_pattern", {"q_proj": None}),
        ("rank_pattern", {"q_proj[": 4}),
    ],
)
def test_a_malformed_number_or_pattern_is_corrupt(
    folder: Path, shapes: Mapping[str, tuple[int, int]], name: str, value: object
) -> None:
    write_config(folder, {name: value})

    with pytest.raises(AdapterCorrupt, match=name):
        read(folder, shapes)


@pytest.mark.parametrize(
    "pattern", ["(a+)+", "(.*.*)*x", ".*.*.*.*.*x", "(a|b){2,}", "(a|a)" * 30, "a|" * 20, "a" * 600]
)
def test_a_pattern_that_could_match_for_ever_is_refused(
    folder: Path, shapes: Mapping[str, tuple[int, int]], pattern: str
) -> None:
    write_config(folder, {"rank_pattern": {pattern: 4}})

    with pytest.raises(AdapterRefused, match="rank_pattern key"):
        read(folder, shapes)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\xfd", b"[1]", b"[" * 200_000])
def test_a_configuration_that_is_not_a_json_object_is_corrupt(
    folder: Path, shapes: Mapping[str, tuple[int, int]], content: bytes
) -> None:
    (folder / CONFIG_FILE).write_bytes(content)

    with pytest.raises(AdapterCorrupt, match=CONFIG_FILE):
        read(folder, shapes)


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(folder: Path, shapes: Mapping[str, tuple[int, int]], name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(AdapterRefused, match=name):
        read(folder, shapes)


def test_pickled_weights_are_refused_by_name(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
    (folder / WEIGHTS_FILE).rename(folder / "adapter_model.bin")

    with pytest.raises(AdapterRefused, match=r"adapter_model\.bin.*only safetensors"):
        read(folder, shapes)


@pytest.mark.parametrize("keep", [0, 4, 100, 1500])
def test_truncated_weights_are_corrupt(
    folder: Path, shapes: Mapping[str, tuple[int, int]], keep: int
) -> None:
    content = (folder / WEIGHTS_FILE).read_bytes()
    assert len(content) > keep
    (folder / WEIGHTS_FILE).write_bytes(content[:keep])

    with pytest.raises(AdapterCorrupt, match=WEIGHTS_FILE):
        read(folder, shapes)


@pytest.mark.parametrize(
    "name",
    [
        f"base_model.model.{Q0}.lora_magnitude_vector",
        "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.lm_head.weight",
        f"base_model.model.{Q0}.lora_B.bias",
        f"{Q0}.lora_A.weight",
    ],
)
def test_a_tensor_of_another_kind_is_refused_by_name(
    folder: Path, shapes: Mapping[str, tuple[int, int]], name: str
) -> None:
    change_tensors(folder, lambda tensors: tensors.update({name: torch.ones(64)}))

    with pytest.raises(AdapterRefused, match=name) as refusal:
        read(folder, shapes)

    assert refusal.value.metadata == {"tensor": name, "digest": DIGEST}


def test_an_unknown_module_is_refused_with_the_nearest_one(
    folder: Path, shapes: Mapping[str, tuple[int, int]]
) -> None:
    write_weights(folder, torch.ones(4, 64), torch.ones(64, 4), path="model.layers.0.attn.q_proj")

    with pytest.raises(
        AdapterRefused, match=rf"no linear layer model\.layers\.0\.attn\.q_proj .*nearest is {Q0}"
    ):
        read(folder, shapes)


@pytest.mark.parametrize(("gone", "left"), [("lora_A", "lora_B"), ("lora_B", "lora_A")])
def test_half_a_pair_is_corrupt(
    folder: Path, shapes: Mapping[str, tuple[int, int]], gone: str, left: str
) -> None:
    change_tensors(folder, lambda tensors: tensors.pop(f"base_model.model.{Q0}.{gone}.weight"))

    with pytest.raises(AdapterCorrupt, match=f"{left}.weight has no .*{gone}.weight"):
        read(folder, shapes)


def test_no_tensors_at_all_is_corrupt(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
    change_tensors(folder, lambda tensors: tensors.clear())

    with pytest.raises(AdapterCorrupt, match="holds no tensor"):
        read(folder, shapes)


@pytest.mark.parametrize(
    ("a", "b", "shown"),
    [
        ((4, 32), (64, 4), r"\[4, 32\]; this base needs \[4, 64\]"),
        ((4, 64), (128, 4), r"\[128, 4\]; this base needs \[64, 4\]"),
        ((4, 64, 1), (64, 4), r"\[4, 64, 1\]"),
    ],
)
def test_a_shape_that_does_not_fit_the_base_is_refused_with_both_shapes(
    folder: Path,
    shapes: Mapping[str, tuple[int, int]],
    a: tuple[int, ...],
    b: tuple[int, ...],
    shown: str,
) -> None:
    write_weights(folder, torch.ones(a), torch.ones(b))

    with pytest.raises(AdapterRefused, match=shown):
        read(folder, shapes)


def test_a_rank_that_the_configuration_denies_is_corrupt(
    folder: Path, shapes: Mapping[str, tuple[int, int]]
) -> None:
    write_config(folder, {"rank_pattern": {"self_attn.q_proj": 2}})

    with pytest.raises(AdapterCorrupt, match=r"rank 4, but adapter_config.json gives 2"):
        read(folder, shapes)


def test_a_rank_above_the_limit_is_refused_and_the_limit_itself_is_not(
    folder: Path, shapes: Mapping[str, tuple[int, int]]
) -> None:
    assert read(folder, shapes, max_rank=4).rank == 4
    with pytest.raises(AdapterRefused, match="rank 4; this engine serves ranks up to 3"):
        read(folder, shapes, max_rank=3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_not_finite_is_corrupt_and_its_place_is_named(
    folder: Path, shapes: Mapping[str, tuple[int, int]], value: float
) -> None:
    b = torch.ones(64, 4)
    b[7, 2] = value
    write_weights(folder, torch.ones(4, 64), b)

    with pytest.raises(AdapterCorrupt, match=rf"lora_B.weight\[7, 2\] is {value}"):
        read(folder, shapes)


def test_a_weight_that_overflows_the_engines_type_is_refused(
    folder: Path, shapes: Mapping[str, tuple[int, int]]
) -> None:
    write_weights(folder, torch.ones(4, 64), torch.full((64, 4), 1e6))

    with pytest.raises(AdapterCorrupt, match="inf in float16"):
        read_adapter(folder, DIGEST, shapes, torch.float16, 64)


def test_integer_weights_are_refused(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
    write_weights(folder, torch.ones(4, 64, dtype=torch.int8), torch.ones(64, 4))

    with pytest.raises(AdapterRefused, match="stored as I8"):
        read(folder, shapes)
