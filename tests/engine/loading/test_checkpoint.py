"""Weights that are not the base's are refused with the tensors named, at every start."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from parfocal.engine import BaseCache, BaseRefused, EngineConfig
from parfocal.engine.loading import Loading, load_base, load_quantised

CPU = EngineConfig(device="cpu", dtype="float32")
EXACT = Loading(torch.float32, torch.device("cpu"), "eager", exact=True)
Tensors = dict[str, torch.Tensor]
PROJECTION = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture
def base(llama_base: Path, tmp_path: Path) -> Path:
    shutil.copytree(llama_base, tmp_path / "base")
    return tmp_path / "base"


def changed(folder: Path, change: Callable[[Tensors], object]) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    path.unlink()
    save_file(tensors, path, {"format": "pt"})


def configured(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def refusal(folder: Path, cache: BaseCache | None = None) -> BaseRefused:
    with pytest.raises(BaseRefused) as caught:
        load_base(folder, CPU, cache=cache)
    return caught.value


@pytest.mark.parametrize(
    "missing",
    [
        ["lm_head.weight"],
        [PROJECTION],
        ["model.layers.2.input_layernorm.weight"],
        ["model.embed_tokens.weight", "model.norm.weight"],
    ],
    ids=lambda names: names[0],
)
def test_a_base_that_lacks_tensors_is_refused_with_their_names(base: Path, missing: list[str]) -> None:
    changed(base, lambda tensors: [tensors.pop(name) for name in missing])

    error = refusal(base)

    assert all(name in str(error) for name in missing)
    assert error.field == missing[0]


def test_training_refuses_it_as_well(base: Path) -> None:
    changed(base, lambda tensors: tensors.pop("lm_head.weight"))

    with pytest.raises(BaseRefused, match=r"lack lm_head\.weight"):
        load_quantised(base, EXACT)


def test_a_cached_base_that_lost_a_tensor_since_is_refused(base: Path, tmp_path: Path) -> None:
    load_base(base, CPU, cache=BaseCache(tmp_path / "cache"))
    changed(base, lambda tensors: tensors.pop("lm_head.weight"))

    assert "lm_head.weight" in str(refusal(base, BaseCache(tmp_path / "cache")))
    assert "lm_head.weight" in str(
        refusal(base, BaseCache(tmp_path / "cache"))
    )  # nothing was kept of the first try


def test_a_head_that_is_the_embedding_need_not_be_stored(base: Path) -> None:
    changed(base, lambda tensors: tensors.pop("lm_head.weight"))
    configured(base, tie_word_embeddings=True)

    assert load_base(base, CPU).info.layers == 3


def test_more_layers_than_the_configuration_has_are_named_and_not_used(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configured(base, num_hidden_layers=2)

    load_base(base, CPU)

    assert "has no place for model.layers.2.input_layernorm.weight" in caplog.text


@pytest.mark.parametrize("name", ["model.layers.0.mlp.up_proj.weight", "model.norm.weight"])
def test_a_tensor_of_another_shape_is_refused_by_name(base: Path, name: str) -> None:
    changed(base, lambda tensors: tensors.update({name: torch.zeros(3, *tensors[name].shape[1:])}))

    assert name in str(refusal(base))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [PROJECTION, "model.norm.weight", "lm_head.weight"])
def test_a_value_that_is_no_number_is_refused_with_its_tensor(base: Path, name: str, value: float) -> None:
    def spoil(tensors: Tensors) -> None:
        tensors[name].view(-1)[-1] = value

    changed(base, spoil)

    assert f"tensor {name} in" in str(refusal(base))
    assert "holds 1 values that are NaN or infinite" in str(refusal(base))


def test_sixteen_bit_weights_are_looked_at_too(base: Path) -> None:
    def spoil(tensors: Tensors) -> None:
        for name, tensor in tensors.items():
            tensors[name] = tensor.to(torch.bfloat16)
        tensors[PROJECTION][3, 4] = float("nan")

    changed(base, spoil)

    assert f"tensor {PROJECTION} in" in str(refusal(base))


def test_a_value_beyond_the_chosen_type_is_refused_with_a_type_that_holds_it(base: Path) -> None:
    def widen(tensors: Tensors) -> None:
        tensors["model.norm.weight"][0] = -1e5

    changed(base, widen)

    with pytest.raises(
        BaseRefused, match=r"model\.norm\.weight .* holds 100000, too large for torch\.float16"
    ):
        load_base(base, EngineConfig(device="cpu", dtype="float16"))
    assert load_base(base, CPU).info.layers == 3


def test_a_missing_shard_is_refused_by_its_file(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    (base / "model.safetensors").unlink()
    model.save_pretrained(base, max_shard_size="200KB")
    shards = sorted(base.glob("model-*.safetensors"))
    assert load_base(base, CPU).info.layers == 3

    shards[1].unlink()

    assert f"lacks {shards[1].name}" in str(refusal(base))


@pytest.mark.parametrize("content", [b"", b"\x00" * 20, b"PK\x03\x04"])
def test_a_damaged_file_is_refused_by_its_name(base: Path, content: bytes) -> None:
    (base / "model.safetensors").write_bytes(content)

    assert f"{base / 'model.safetensors'} cannot be read" in str(refusal(base))


def test_a_folder_without_weights_is_refused(base: Path) -> None:
    (base / "model.safetensors").unlink()

    assert "lacks model.safetensors; a base needs all its weights as safetensors" in str(refusal(base))


def stored_quantised(base: Path, dtype: torch.dtype = torch.float32, **recipe: Any) -> Path:
    """Saves the base beside itself as bitsandbytes stores it."""
    settings = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True, **recipe}
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16, **settings)
    model = AutoModelForCausalLM.from_pretrained(
        base, quantization_config=config, dtype=dtype, device_map={"": "cpu"}
    )
    folder = base.parent / "stored"
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / name, folder / name)
    return folder


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(20)[None]).logits
    return found


def test_a_base_stored_in_the_served_recipe_computes_what_its_original_computes(base: Path) -> None:
    stored = stored_quantised(base)

    assert torch.equal(logits(load_quantised(stored, EXACT)), logits(load_quantised(base, EXACT)))


def test_the_type_that_stored_weights_were_saved_with_rounds_nothing_here(base: Path) -> None:
    """Same 4-bit numbers, computed in float32 whatever type the file names."""
    model: Any = load_quantised(stored_quantised(base, torch.bfloat16), EXACT)
    linear = model.model.layers[0].self_attn.q_proj

    assert linear.compute_dtype is torch.float32
    assert linear.weight.quant_state.dtype is torch.float32
    assert {p.dtype for p in model.parameters()} == {torch.float32, torch.uint8}
    assert logits(model).dtype is torch.float32


def test_a_stored_base_is_served_and_cached_like_any_other(base: Path, tmp_path: Path) -> None:
    stored = stored_quantised(base)
    first, second = (load_base(stored, CPU, cache=BaseCache(tmp_path / "cache")) for _ in range(2))

    assert first.shapes == second.shapes == load_base(base, CPU).shapes


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        ({"bnb_4bit_quant_type": "fp4"}, "is stored as fp4;"),
        ({"bnb_4bit_use_double_quant": False}, "is stored as nf4 without double quantisation"),
    ],
)
def test_another_4_bit_recipe_is_refused_by_name(base: Path, recipe: dict[str, Any], name: str) -> None:
    assert name in str(refusal(stored_quantised(base, **recipe)))


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ({"quant_method": "gptq", "bits": 4}, "by gptq"),
        ({"quant_method": "awq", "bits": 4}, "by awq"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "by bitsandbytes in 8 bits"),
        ({"group_size": 64, "bits": 4}, "by an unnamed method"),
    ],
)
def test_another_method_is_refused_by_name(base: Path, stored: dict[str, object], name: str) -> None:
    configured(base, quantization_config=stored)

    assert f"stored quantised {name};" in str(refusal(base))
