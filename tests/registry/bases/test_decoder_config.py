"""What a configuration means: transformers' own classes are the oracle, re-saving changes nothing."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import CONFIG_MAPPING, AutoConfig

from parfocal.registry.bases.decoder_classes import CLASS_DEFAULTS, NEUTRAL_FIELDS
from parfocal.registry.bases.decoder_config import config_meaning, decoder_fields
from parfocal.registry.bases.shapes import shape_of
from parfocal.registry.values import BaseShape

KINDS = sorted(CLASS_DEFAULTS)
SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 7,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


def resaved(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Loads `config` as transformers does and writes it again."""
    (folder / "config.json").write_text(json.dumps(config))
    AutoConfig.from_pretrained(folder).save_pretrained(folder / "again")
    again: dict[str, Any] = json.loads((folder / "again" / "config.json").read_text())
    return again


@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_are_those_of_the_installed_classes(kind: str) -> None:
    declared = {field.name: field.default for field in dataclasses.fields(CONFIG_MAPPING[kind])}

    assert {name: declared.get(name, "absent") for name in CLASS_DEFAULTS[kind]} == CLASS_DEFAULTS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_class_is_judged(kind: str) -> None:
    """A field that a new release adds must be put among those that count or those that are neutral."""
    declared = {field.name for field in dataclasses.fields(CONFIG_MAPPING[kind])}

    assert declared - CLASS_DEFAULTS[kind].keys() - NEUTRAL_FIELDS - {"rope_parameters"} == set()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"rope_theta": 500000},
        {"rope_theta": 5e5, "rope_scaling": None, "torch_dtype": "bfloat16", "_name_or_path": "/home/x"},
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": 128}, "rope_theta": 5e5},
        {"rope_scaling": LLAMA3},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 3e4}},
        {"rope_theta": 2e6, "rope_local_base_freq": 5000.0},
        {"partial_rotary_factor": 0.5},
        {"head_dim": 32, "attention_bias": True},
        {"sliding_window": None},
        {"sliding_window": 24},
        {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 3},
        {"sliding_window_pattern": 3, "sliding_window": 9},
        {"use_bidirectional_attention": True, "sliding_window": 24},
        {"hidden_act": "gelu", "tie_word_embeddings": True},
        {"unsloth_version": "2025.1", "my_note": {"by": "me"}, "eos_token_id": [1, 2]},
    ],
    ids=lambda extra: ",".join(extra) or "plain",
)
def test_a_configuration_that_is_saved_again_means_the_same(
    kind: str, extra: dict[str, Any], tmp_path: Path
) -> None:
    if kind == "phi3" and "rope_scaling" in extra and extra["rope_scaling"]:
        pytest.skip("transformers refuses this scaling for Phi-3")
    config = {"model_type": kind, **SMALL, **extra}

    assert config_meaning(resaved(config, tmp_path)) == config_meaning(config)


@pytest.mark.parametrize("kind", KINDS)
def test_a_configuration_that_relies_on_its_class_alone_means_what_the_class_says(
    kind: str, tmp_path: Path
) -> None:
    config = {"model_type": kind}

    assert config_meaning(resaved(config, tmp_path)) == config_meaning(config)


@pytest.mark.parametrize("kind", KINDS)
def test_writing_a_default_out_changes_nothing(kind: str) -> None:
    config = {"model_type": kind, **SMALL}
    written = {**CLASS_DEFAULTS[kind], **config}

    assert config_meaning(written) == config_meaning(config)


@given(st.sampled_from(KINDS), st.permutations(sorted(SMALL)))
def test_the_order_of_the_keys_is_no_part_of_the_meaning(kind: str, order: list[str]) -> None:
    assert config_meaning({**{name: SMALL[name] for name in order}, "model_type": kind}) == config_meaning(
        {"model_type": kind, **SMALL}
    )


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("llama", {"rope_theta": 10001.0}),
        ("llama", {"rope_scaling": LLAMA3}),
        ("llama", {"rms_norm_eps": 1e-5}),
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"head_dim": 32}),
        ("mistral", {"sliding_window": None}),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": 3}),
        ("gemma2", {"final_logit_softcapping": None}),
        ("gemma3_text", {"sliding_window_pattern": 3}),
        ("gemma3_text", {"rope_local_base_freq": 20000.0}),
        ("phi3", {"sliding_window": 9}),
        ("a_model_of_next_year", {"anything": 1}),
    ],
)
def test_what_changes_the_logits_changes_the_meaning(kind: str, change: dict[str, Any]) -> None:
    config = {"model_type": kind, **SMALL}

    assert config_meaning({**config, **change}) != config_meaning(config)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("left_out", [(), ("num_key_value_heads",), ("intermediate_size", "hidden_size")])
def test_the_sizes_are_those_that_the_class_resolves(kind: str, left_out: tuple[str, ...]) -> None:
    config = {"model_type": kind, **{name: size for name, size in SMALL.items() if name not in left_out}}
    resolved = AutoConfig.for_model(**config)
    heads = resolved.num_attention_heads
    head_dim = getattr(resolved, "head_dim", None) or resolved.hidden_size // heads

    assert shape_of(config) == BaseShape(
        layers=resolved.num_hidden_layers,
        hidden=resolved.hidden_size,
        intermediate=resolved.intermediate_size,
        heads=heads,
        kv_heads=resolved.num_key_value_heads,
        head_dim=head_dim,
        fused=kind == "phi3",
    )


def test_gemma3_without_a_head_size_has_that_of_its_class() -> None:
    shape = shape_of({"model_type": "gemma3_text", **SMALL})

    assert shape is not None
    assert shape.head_dim == 256


@pytest.mark.parametrize("text", [None, {}, {"hidden_size": 64}, {"model_type": "gemma3_text", **SMALL}])
def test_the_text_part_of_a_larger_model_is_described_by_its_own_class(text: dict[str, Any] | None) -> None:
    alone = decoder_fields({"model_type": "gemma3_text", **(text or {})})

    assert decoder_fields({"model_type": "gemma3", "text_config": text, "vision_config": {"x": 1}}) == alone


@pytest.mark.parametrize("layers", [10**9, 10**30, -1, True])
def test_an_absurd_number_of_layers_is_described_without_counting_them(layers: int) -> None:
    assert config_meaning({"model_type": "gemma2", "num_hidden_layers": layers})["kind"] == "gemma2"
