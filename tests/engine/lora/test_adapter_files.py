"""A PEFT folder is computed as PEFT computes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.layer import Linear as LoraLinear
from transformers import LlamaForCausalLM

from fakes.engine.adapter_folder import Q0, read, write_weights
from fakes.engine.folder_source import described
from parfocal.engine import RankAndScale
from parfocal.engine.lora.adapter_files import WEIGHTS_FILE

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj"]


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
    small_llama: LlamaForCausalLM,
    shapes: Mapping[str, tuple[int, int]],
    tmp_path: Path,
    settings: dict[str, Any],
) -> None:
    model = peft_model(small_llama, settings)
    model.save_pretrained(str(tmp_path))

    weights = read(tmp_path, shapes, modules=described(tmp_path).modules)

    layers = {path: m for path, m in small_llama.named_modules() if isinstance(m, LoraLinear)}
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
    weights = read(folder, shapes, dtype=torch.bfloat16)

    assert weights.rank == 4
    assert weights.size_bytes == 2 * (4 * 64 + 64 * 4)
    assert {pair.a.dtype for pair in weights.modules.values()} == {torch.bfloat16}


def test_the_scale_is_applied_before_a_narrow_type_rounds(
    folder: Path, shapes: Mapping[str, tuple[int, int]]
) -> None:
    write_weights(folder, torch.ones(4, 64), torch.full((64, 4), 1.001))

    pair = read(folder, shapes, dtype=torch.bfloat16, modules={Q0: RankAndScale(4, 1000.0)}).modules[Q0]

    assert pair.b[0, 0] == torch.tensor(1001.0).to(torch.bfloat16)


def test_matrices_survive_the_file(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
    weights = read(folder, shapes)

    with (folder / WEIGHTS_FILE).open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(0)
        file.write(b"\0" * size)

    assert weights.modules[Q0].a.eq(1.0).all()
