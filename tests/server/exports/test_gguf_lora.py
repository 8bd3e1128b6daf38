"""llama.cpp's LoRA of an adapter: its names, its order of rows, its one alpha, and PEFT's own deltas."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oracle.bases import configurations
from oracle.exported_pairs import Make, Pair
from parfocal.server.errors import ExportRefused
from parfocal.server.exports import ARCHITECTURES, write_gguf_lora

gguf = pytest.importorskip("gguf", reason="the extra gguf is not installed")

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.gate_up_proj": "ffn_up",
}


def name_of(path: str) -> str:
    layer, _, module = path.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{NAMES[module]}.weight"


def deltas(pair: Pair) -> dict[str, torch.Tensor]:
    """What PEFT adds to each weight, by the module's path."""
    layers = {
        name.removeprefix("base_model.model."): module
        for name, module in pair.peft().named_modules()
        if hasattr(module, "get_delta_weight")
    }
    return {name: module.get_delta_weight("default").detach() for name, module in layers.items()}


def read(path: Path) -> Any:
    return gguf.GGUFReader(path)


def field(reader: Any, name: str) -> Any:
    return reader.get_field(name).contents()


def in_transformers_order(delta: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows that alternate between a head's halves, put back half by half."""
    rows = delta.shape[0]
    return delta.view(heads, rows // heads // 2, 2, -1).transpose(1, 2).reshape(rows, -1)


@pytest.mark.parametrize("kind", configurations(2))
@pytest.mark.parametrize(
    "options",
    [{}, {"use_rslora": True, "rank_pattern": {"o_proj": 2}, "alpha_pattern": {"down_proj": 3}}],
    ids=["one scale", "many scales"],
)
def test_llama_cpp_adds_what_peft_adds(
    pair: Make, tmp_path: Path, kind: str, options: dict[str, Any]
) -> None:
    made = pair(kind, **options)
    done = write_gguf_lora(made.adapted, tmp_path / "lora.gguf")

    reader = read(tmp_path / "lora.gguf")
    tensors = {tensor.name: torch.from_numpy(np.array(tensor.data)) for tensor in reader.tensors}
    alpha = field(reader, "adapter.lora.alpha")
    config = json.loads((made.base / "config.json").read_text())
    expected = deltas(made)
    assert tensors.keys() == {f"{name_of(path)}.lora_{side}" for path in expected for side in "ab"}
    for path, delta in expected.items():
        a, b = (tensors[f"{name_of(path)}.lora_{side}"] for side in "ab")
        theirs = (b @ a) * (alpha / b.shape[1])
        if ARCHITECTURES[kind].interleaved and path.endswith(("q_proj", "k_proj")):
            heads = config["num_attention_heads" if path.endswith("q_proj") else "num_key_value_heads"]
            theirs = in_transformers_order(theirs, heads)
        torch.testing.assert_close(theirs, delta, rtol=1e-5, atol=1e-6)
    assert done.architecture == ARCHITECTURES[kind].name == field(reader, "general.architecture")
    assert (done.rescaled > 0) == bool(options)


def test_a_file_says_that_it_is_an_adapter_and_which(pair: Make, tmp_path: Path) -> None:
    made = pair("llama")
    write_gguf_lora(made.adapted, tmp_path / "lora.gguf")

    reader = read(tmp_path / "lora.gguf")

    assert field(reader, "general.type") == "adapter"
    assert field(reader, "adapter.type") == "lora"
    assert field(reader, "general.name") == str(made.version)
    assert made.version.digest in field(reader, "general.description")


def test_one_scale_for_all_leaves_the_matrices_as_they_are(pair: Make, tmp_path: Path) -> None:
    made = pair("qwen2", use_rslora=True)
    done = write_gguf_lora(made.adapted, tmp_path / "lora.gguf")

    with made.adapted.matrices() as matrices:
        target = made.adapted.targets[0]
        _, b = matrices.of(target)
    stored = {tensor.name: np.array(tensor.data) for tensor in read(tmp_path / "lora.gguf").tensors}
    assert np.array_equal(stored[f"{name_of(target.path)}.lora_b"], b.numpy())
    assert (done.alpha, done.rescaled) == (16 / 4**0.5 * 4, 0)


def test_every_architecture_of_the_table_is_one_of_llama_cpps() -> None:
    known = set(gguf.MODEL_ARCH_NAMES.values())

    assert {each.name for each in ARCHITECTURES.values()} <= known
    assert set(configurations(2)) <= set(ARCHITECTURES) | {"gemma3"}


def test_another_architecture_is_refused_by_name_with_the_way_on(pair: Make, tmp_path: Path) -> None:
    adapted = pair("llama").adapted
    strange = replace(adapted, config={**adapted.config, "model_type": "gpt_neox"})

    with pytest.raises(ExportRefused, match=r"'gpt_neox' bases; it is for llama, .*--merged"):
        write_gguf_lora(strange, tmp_path / "lora.gguf")
