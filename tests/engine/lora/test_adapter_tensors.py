"""Weights that are missing, cut, of another kind or of another shape are refused by name."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from fakes.engine.adapter_folder import DIGEST, Q0, change_tensors, read, write_weights
from parfocal.engine import RankAndScale
from parfocal.engine.errors import AdapterCorrupt, AdapterRefused
from parfocal.engine.lora.adapter_files import WEIGHTS_FILE


def test_missing_weights_are_named(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
    (folder / WEIGHTS_FILE).unlink()

    with pytest.raises(AdapterRefused, match=f"no {WEIGHTS_FILE}"):
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


def test_a_rank_that_the_manifest_denies_is_corrupt(
    folder: Path, shapes: Mapping[str, tuple[int, int]]
) -> None:
    with pytest.raises(AdapterCorrupt, match="rank 4, but the manifest gives 2"):
        read(folder, shapes, modules={Q0: RankAndScale(2, 1.0)})


def test_tensors_of_a_module_that_the_manifest_does_not_list_are_corrupt(
    folder: Path, shapes: Mapping[str, tuple[int, int]]
) -> None:
    with pytest.raises(AdapterCorrupt, match=f"{Q0} is not a module of the manifest"):
        read(folder, shapes, modules={})


def test_a_module_of_the_manifest_without_tensors_is_corrupt(
    folder: Path, shapes: Mapping[str, tuple[int, int]]
) -> None:
    other = Q0.replace("q_proj", "k_proj")
    with pytest.raises(AdapterCorrupt, match=f"no tensors for {other}"):
        read(folder, shapes, modules={Q0: RankAndScale(4, 1.0), other: RankAndScale(4, 1.0)})


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
        read(folder, shapes, dtype=torch.float16)


def test_integer_weights_are_refused(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
    write_weights(folder, torch.ones(4, 64, dtype=torch.int8), torch.ones(64, 4))

    with pytest.raises(AdapterRefused, match="stored as I8"):
        read(folder, shapes)
