"""A base that is stored quantised is the recipe that is served, or refused by the name of its recipe."""

import json
from pathlib import Path
from typing import Any

import pytest

from fakes.registry.peft_folders import Adapter, write_adapter, write_base
from parfocal.registry import (
    BaseContract,
    FolderRegistry,
    Publication,
    Quantisation,
    describe_base,
    locate_base,
)
from parfocal.registry.bases.stored_recipe import stored_recipe
from parfocal.registry.errors import BaseUnsupported

NF4: dict[str, Any] = {
    "quant_method": "bitsandbytes",
    "_load_in_4bit": True,
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
    "bnb_4bit_compute_dtype": "bfloat16",
    "bnb_4bit_quant_storage": "uint8",
    "llm_int8_skip_modules": None,
}


def describe(folder: Path) -> BaseContract:
    return describe_base(locate_base(str(folder), weights=False))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"llm_int8_skip_modules": ["lm_head"]},
        {"bnb_4bit_compute_dtype": "float16", "bnb_4bit_quant_storage": None},
        {"quant_method": None},
    ],
    ids=json.dumps,
)
def test_a_base_stored_in_the_served_recipe_is_that_base(tmp_path: Path, change: dict[str, object]) -> None:
    plain = describe(write_base(tmp_path / "base"))
    stored = describe(write_base(tmp_path / "base-bnb-4bit", quantization_config={**NF4, **change}))

    assert stored.quantisation == Quantisation()
    assert plain.differences(stored) == []


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({**NF4, "bnb_4bit_quant_type": "fp4"}, "bitsandbytes FP4 with double quantisation"),
        ({"load_in_4bit": True}, "bitsandbytes FP4 without double quantisation"),
        ({**NF4, "bnb_4bit_use_double_quant": False}, "bitsandbytes NF4 without double quantisation"),
        ({**NF4, "bnb_4bit_quant_storage": "bfloat16"}, "packed as bfloat16"),
        ({**NF4, "bnb_4bit_blocksize": 128}, "in blocks of 128"),
        ({**NF4, "llm_int8_skip_modules": ["lm_head", "model.layers.0.mlp"]}, "without model.layers.0.mlp"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8"),
        ({"quant_method": "gptq", "bits": 4}, "gptq with 4 bits"),
        ({"quant_method": "awq", "bits": 4, "version": "gemm"}, "awq with 4 bits"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"group_size": 64, "bits": 4}, "MLX"),
        ({"scheme": "?"}, "a method that config.json does not name"),
    ],
)
def test_any_other_recipe_is_refused_by_its_name(config: dict[str, Any], name: str) -> None:
    with pytest.raises(BaseUnsupported, match=name) as refused:
        stored_recipe({"quantization_config": config})
    assert refused.value.field == "base.quantisation"


@pytest.mark.parametrize("holder", ["quantization", "compression_config"])
def test_other_programs_name_the_field_otherwise(holder: str) -> None:
    with pytest.raises(BaseUnsupported):
        stored_recipe({holder: {"group_size": 64, "bits": 4}})


def test_the_recipe_of_a_text_part_counts() -> None:
    with pytest.raises(BaseUnsupported, match="gptq"):
        stored_recipe({"text_config": {"quantization_config": {"quant_method": "gptq"}}})


@pytest.mark.parametrize("config", [{}, {"quantization_config": None}, {"quantization_config": {}}])
def test_plain_weights_have_no_recipe_of_their_own(config: dict[str, Any]) -> None:
    assert stored_recipe(config) is None


def test_nothing_is_published_for_a_base_that_could_not_be_served(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    base = write_base(tmp_path / "base", quantization_config={"quant_method": "awq", "bits": 4})

    with pytest.raises(BaseUnsupported, match="awq"):
        registry.publish("team/x", write_adapter(tmp_path / "a", Adapter()), Publication(describe(base)))
