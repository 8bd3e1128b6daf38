"""A base is loaded or refused with the value at fault and what is supported instead."""

import json
from pathlib import Path

import pytest
import torch

from oracle.bases import byte_tokenizer, configurations
from parfocal.engine import BaseRefused, EngineConfig
from parfocal.engine.loading import load_base
from parfocal.engine.loading.base_settings import SUPPORTED

CPU = EngineConfig(device="cpu", dtype="float32")


def refusal(folder: Path, config: EngineConfig = CPU) -> BaseRefused:
    with pytest.raises(BaseRefused) as caught:
        load_base(folder, config)
    return caught.value


def with_config(folder: Path, fields: object) -> Path:
    (folder / "config.json").write_text(fields if isinstance(fields, str) else json.dumps(fields))
    return folder


def test_a_folder_without_a_configuration_is_named(tmp_path: Path) -> None:
    assert str(refusal(tmp_path)).startswith(f"{tmp_path} has no config.json")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "3", '{"hidden_size": 4}'])
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    assert "config.json is not a model configuration" in str(refusal(with_config(tmp_path, content)))


@pytest.mark.parametrize("kind", ["gpt2", "mixtral", "a_model_of_next_year", None, 7])
def test_an_unknown_architecture_is_refused_with_those_that_are_served(tmp_path: Path, kind: object) -> None:
    error = refusal(with_config(tmp_path, {"model_type": kind}))

    assert repr(kind) in str(error)
    assert all(one in str(error) for one in SUPPORTED)
    assert error.metadata == {"architecture": str(kind)}


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
        {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
        {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
        {
            "rope_scaling": {
                "type": "longrope",
                "long_factor": [1.0] * 16,
                "short_factor": [1.0] * 16,
            },
            "original_max_position_embeddings": 128,
        },
    ],
    ids=["parameters", "scaling", "old name", "longrope"],
)
def test_positions_that_depend_on_the_rest_of_the_batch_are_refused(
    tmp_path: Path, rope: dict[str, object]
) -> None:
    kind = "longrope" if "longrope" in json.dumps(rope) else "dynamic"
    architecture = "phi3" if kind == "longrope" else "llama"
    fields = configurations()[architecture].to_dict()
    fields.pop("rope_parameters", None)

    assert f"rope_type {kind!r}" in str(refusal(with_config(tmp_path, {**fields, **rope})))


def test_one_layer_type_with_such_positions_is_enough(tmp_path: Path) -> None:
    fields = configurations()["gemma3"].to_dict()
    fields["rope_parameters"]["full_attention"] = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}

    assert "rope_type 'dynamic'" in str(refusal(with_config(tmp_path, fields)))


def test_a_loaded_base_tells_what_it_is(llama_base: Path) -> None:
    base = load_base(llama_base, EngineConfig(device="cpu", dtype="float32", context_tokens=100))

    assert (base.info.name, base.info.architecture, base.info.dtype) == (
        "llama",
        "LlamaForCausalLM",
        "float32",
    )
    assert (base.info.context_tokens, base.info.vocabulary, base.info.layers) == (100, 320, 3)
    assert base.info.eos_ids == (257,)
    assert (base.kv_shape.heads, base.kv_shape.head_dim, base.kv_shape.dtype) == (2, 32, torch.float32)
    assert len(base.shapes) == 3 * 7
    assert base.shapes["model.layers.1.mlp.down_proj"] == (192, 128)
    assert base.info.memory_bytes > 0


@pytest.mark.parametrize(
    ("device", "said"),
    [("gpu", "'gpu' is unknown; use auto, cpu or cuda"), ("cuda:99", "not here: torch .* sees")],
)
def test_a_device_that_is_not_here_is_refused_by_name(llama_base: Path, device: str, said: str) -> None:
    with pytest.raises(BaseRefused, match=said):
        load_base(llama_base, EngineConfig(device=device))


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("tokenizer_config.json", b"\xef\xbb\xbf{}", "byte order mark"),
        ("tokenizer_config.json", b'{"a":', "JSONDecodeError"),
        ("tokenizer_config.json", b"[]", "not a JSON object"),
        ("tokenizer.json", b'{"version": "1.0", "model": {', "JSONDecodeError"),
        ("tokenizer.json", b"\xc3(", "UnicodeDecodeError"),
        ("special_tokens_map.json", b'{"bos_token":', "JSONDecodeError"),
    ],
)
def test_a_damaged_file_of_the_tokenizer_is_named(
    tmp_path: Path, name: str, content: bytes, fault: str
) -> None:
    configurations()["llama"].save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    (tmp_path / name).write_bytes(content)

    error = str(refusal(tmp_path))

    assert error.startswith(f"{tmp_path / name} cannot be read: ")
    assert fault in error
    assert "download the base again" in error


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        (
            {"type": "Trie", "vocab": {}},
            "its model.type is 'Trie', and only BPE, Unigram, WordLevel",
        ),
        ({"type": 3}, "its model.type is '3'"),
        (None, "it has no model"),
        ([], "it has no model"),
    ],
)
def test_a_tokenizer_of_a_model_that_nobody_knows_is_refused_by_its_name(
    tmp_path: Path, model: object, fault: str
) -> None:
    configurations()["llama"].save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    change_json(tmp_path / "tokenizer.json", model=model)

    assert str(refusal(tmp_path)).startswith(f"{tmp_path / 'tokenizer.json'} cannot be read: {fault}")


@pytest.mark.parametrize("part", ["pre_tokenizer", "normalizer", "decoder", "post_processor"])
def test_a_tokenizer_with_a_part_that_nobody_knows_is_refused(tmp_path: Path, part: str) -> None:
    configurations()["llama"].save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    change_json(tmp_path / "tokenizer.json", **{part: {"type": "Newer"}})

    assert str(refusal(tmp_path)).startswith(f"transformers refuses the tokenizer in {tmp_path}: ")


def change_json(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize("kind", ["qwen2", "llama", "gemma2"])
def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path, kind: str) -> None:
    configurations()[kind].save_pretrained(tmp_path)

    assert str(refusal(tmp_path)).startswith(f"{tmp_path} holds no tokenizer, such as tokenizer.json; ")


def test_a_tokenizer_that_transformers_refuses_is_named(tmp_path: Path) -> None:
    configurations()["llama"].save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": 7}')

    assert str(refusal(tmp_path)).startswith(f"transformers refuses the tokenizer in {tmp_path}: ")
