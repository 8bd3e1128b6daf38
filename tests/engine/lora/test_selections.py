"""Whatever modules, ranks and alphas PEFT was asked for, publishing and the engine give what it computes."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.layer import Linear as LoraLinear
from transformers import LlamaConfig, LlamaForCausalLM

from parfocal.engine import AdapterKey
from parfocal.engine.lora.adapter_files import LoraWeights, read_adapter
from parfocal.registry import BaseContract, FolderRegistry, Publication
from parfocal.server.requests import RegistryAdapterSource

SHAPE = LlamaConfig(
    vocab_size=32,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=3,
    num_attention_heads=2,
    num_key_value_heads=1,
)
NAMES = st.lists(
    st.sampled_from(["q_proj", "k_proj", "self_attn.v_proj", "down_proj", "model.layers.2.mlp.up_proj"]),
    min_size=1,
    max_size=3,
    unique=True,
)
EXPRESSIONS = st.sampled_from([
    "all-linear", r".*layers\.[02]\..*_proj", r"model\.layers\.\d+\.self_attn\.(q|v)_proj",
    r"^(?!.*self_attn).*_proj", r"(?:.*?layers\.1.*?(?:mlp|self_attn).*?(?:up_proj|k_proj).*?)",
])  # fmt: skip
EXCLUDED = st.none() | st.sampled_from([["k_proj"], ["layers.2.mlp.up_proj"], r".*\.1\..*", "lm_head"])
LAYERS = st.none() | st.integers(0, 2) | st.lists(st.integers(0, 2), min_size=1, unique=True)
KEYS = st.sampled_from([
    "q_proj", "model.layers.1.mlp.down_proj", r"layers\.[01]\..*", "^model.layers.2.*", "(k|v)_proj", "proj",
])  # fmt: skip
CONFIGURATIONS = st.fixed_dictionaries({
    "r": st.integers(1, 8),
    "lora_alpha": st.integers(1, 32),
    "use_rslora": st.booleans(),
    "target_modules": NAMES | EXPRESSIONS,
    "exclude_modules": EXCLUDED,
    "layers_to_transform": LAYERS,
    "layers_pattern": st.none() | st.just("layers") | st.just(["h", "layers"]),
    "rank_pattern": st.dictionaries(KEYS, st.integers(1, 8), max_size=3),
    "alpha_pattern": st.dictionaries(KEYS, st.integers(1, 32), max_size=3),
})  # fmt: skip


def base() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(SHAPE)


# PEFT warns of keys and layers that choose nothing.
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")
@settings(max_examples=30)
@given(CONFIGURATIONS)
def test_the_engine_adds_what_peft_adds_before_and_after_publishing(configuration: dict[str, Any]) -> None:
    model = trained(configuration)
    if model is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        registry = FolderRegistry(Path(folder) / "registry")
        unknown = Publication(BaseContract.unverified("base"), unverified_base=True)
        version = registry.publish("a", Path(folder), unknown)
        source = RegistryAdapterSource(registry).folder(AdapterKey(version.digest))
        shapes = {
            path: (module.in_features, module.out_features)
            for path, module in base().named_modules()
            if isinstance(module, torch.nn.Linear)
        }
        weights = read_adapter(source, version.digest, shapes, torch.float32, 64)
        assert_equal(weights, added(model))
        assert_equal(weights, added(PeftModel.from_pretrained(base(), source.path)))


def trained(configuration: dict[str, Any]) -> PeftModel | None:
    """An adapter with random factors, or None for what PEFT itself refuses."""
    try:
        model = get_peft_model(base(), LoraConfig(task_type="CAUSAL_LM", **configuration))
    except ValueError:
        return None
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def added(model: PeftModel) -> dict[str, torch.Tensor]:
    layers = {path: m for path, m in model.get_base_model().named_modules() if isinstance(m, LoraLinear)}
    return {path: layer.get_delta_weight("default") for path, layer in layers.items()}


def assert_equal(weights: LoraWeights, expected: Mapping[str, torch.Tensor]) -> None:
    assert weights.modules.keys() == expected.keys()
    for path, delta in expected.items():
        pair = weights.modules[path]
        torch.testing.assert_close(pair.b @ pair.a, delta, rtol=1e-5, atol=1e-6)
