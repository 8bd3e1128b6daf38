"""Fingerprints tell two sets of weights apart, however the same weights are stored."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from fakes.registry.peft_folders import Tensor, safetensors, write_base
from parfocal.registry import BaseContract, describe_base, locate_base
from parfocal.registry.bases.weights import weights_fingerprint

WEIGHTS = {
    "model.embed_tokens.weight": Tensor((64, 8), fill=3),
    "model.norm.weight": Tensor((8,), fill=1),
    "lm_head.weight": Tensor((64, 8), fill=5),
}


def written(folder: Path, shards: Mapping[str, Mapping[str, Tensor]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensors in shards.items():
        (folder / name).write_bytes(safetensors(tensors))
    if len(shards) > 1:
        index = {tensor: name for name, tensors in shards.items() for tensor in tensors}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return folder


def whole(folder: Path, tensors: Mapping[str, Tensor]) -> Path:
    return written(folder, {"model.safetensors": tensors})


def fingerprint(folder: Path, *, tied: bool = False) -> str | None:
    return weights_fingerprint(folder, tied=tied)


def test_neither_order_nor_sharding_counts(tmp_path: Path) -> None:
    one = whole(tmp_path / "one", WEIGHTS)
    turned = whole(tmp_path / "turned", dict(reversed(WEIGHTS.items())))
    names = list(WEIGHTS)
    shards = {
        "model-00001-of-00002.safetensors": {names[2]: WEIGHTS[names[2]]},
        "model-00002-of-00002.safetensors": {name: WEIGHTS[name] for name in names[:2]},
    }
    sharded = written(tmp_path / "sharded", shards)

    assert fingerprint(one) == fingerprint(turned) == fingerprint(sharded)
    assert str(fingerprint(one)).startswith("plain:")


@pytest.mark.parametrize("name", WEIGHTS)
def test_another_value_in_any_tensor_is_seen(tmp_path: Path, name: str) -> None:
    other = {**WEIGHTS, name: Tensor(WEIGHTS[name].shape, fill=9)}

    assert fingerprint(whole(tmp_path / "a", WEIGHTS)) != fingerprint(whole(tmp_path / "b", other))


def test_a_missing_tensor_is_seen(tmp_path: Path) -> None:
    fewer = {name: tensor for name, tensor in WEIGHTS.items() if name != "model.norm.weight"}

    assert fingerprint(whole(tmp_path / "a", WEIGHTS)) != fingerprint(whole(tmp_path / "b", fewer))


def test_a_tied_head_counts_whether_it_is_repeated_or_not(tmp_path: Path) -> None:
    fewer = {name: tensor for name, tensor in WEIGHTS.items() if name != "lm_head.weight"}
    repeated, left_out = whole(tmp_path / "a", WEIGHTS), whole(tmp_path / "b", fewer)

    assert fingerprint(repeated, tied=True) == fingerprint(left_out, tied=True)
    assert fingerprint(repeated) != fingerprint(left_out)


@pytest.mark.parametrize(("dtype", "code"), [("F16", "e"), ("BF16", "")])
def test_16_bit_values_kept_in_32_bits_are_the_same_weights(tmp_path: Path, dtype: str, code: str) -> None:
    values = [0.5, -2.0, 1.0, 0.0]
    wide = struct.pack("<4f", *values)
    narrow = struct.pack(f"<4{code}", *values) if code else b"".join(wide[i : i + 2] for i in (2, 6, 10, 14))
    for name, kind, data in (("narrow", dtype, narrow), ("wide", "F32", wide)):
        header = json.dumps({"a": {"dtype": kind, "shape": [4], "data_offsets": [0, len(data)]}}).encode()
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)

    assert fingerprint(tmp_path / "narrow") == fingerprint(tmp_path / "wide")


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\xff" * 40, struct.pack("<Q", 3) + b"[1]"])
def test_a_damaged_file_has_no_fingerprint(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(damage)

    assert fingerprint(tmp_path) is None


def test_a_truncated_or_absent_shard_leaves_no_fingerprint(tmp_path: Path) -> None:
    shards = {f"model-{number}.safetensors": {name: WEIGHTS[name]} for number, name in enumerate(WEIGHTS)}
    folder = written(tmp_path, shards)
    whole_shard = (folder / "model-0.safetensors").read_bytes()
    (folder / "model-0.safetensors").write_bytes(whole_shard[:-700])
    assert fingerprint(folder) is None

    (folder / "model-0.safetensors").unlink()
    assert fingerprint(folder) is None


def test_an_index_that_names_files_elsewhere_is_not_followed(tmp_path: Path) -> None:
    whole(tmp_path / "other", WEIGHTS)
    (tmp_path / "base").mkdir()
    index = {"weight_map": {"a": "../other/model.safetensors"}}
    (tmp_path / "base" / "model.safetensors.index.json").write_text(json.dumps(index))

    assert fingerprint(tmp_path / "base") is None


def test_two_folders_of_one_name_and_configuration_with_other_weights_are_two_bases(tmp_path: Path) -> None:
    first = _described(whole(write_base(tmp_path / "a" / "base"), WEIGHTS))
    other = {**WEIGHTS, "model.norm.weight": Tensor((8,), fill=2)}
    second = _described(whole(write_base(tmp_path / "b" / "base"), other))

    assert [d.field for d in first.differences(second)] == ["base.weights_fingerprint"]


def test_tiny_is_described_with_its_weights_and_as_it_was_described_before() -> None:
    tiny = describe_base(locate_base("tiny", weights=False))

    assert tiny.weights_fingerprint is not None
    assert tiny.earlier is not None
    assert tiny.earlier.config == "sha256:e3409cbbc0ae33aa3f734cbc098ee8fe8f63b22e6be060b44c4e8414642ac8c1"
    assert tiny.earlier.tokenizer == "sha256:ad9131c9936d7a3a510f803eb0beb480abdfe11e6af001814ddd38734b78736e"


def _described(folder: Path) -> BaseContract:
    return describe_base(locate_base(str(folder), weights=False))
