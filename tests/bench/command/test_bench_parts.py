"""The random base and adapters of a bench, as the libraries see them that load them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftConfig
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from parfocal.bench.made.adapters import write_adapter
from parfocal.bench.made.base import cached_base
from parfocal.bench.made.published import adapter_folders, publish_adapters, registry_folder
from parfocal.bench.workloads.shapes import SHAPES
from parfocal.bench.workloads.workload import Workload
from parfocal.registry import FolderRegistry

SHAPE = SHAPES["llama-test"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cached_base(SHAPE, tmp_path_factory.mktemp("cache"))


def test_transformers_finds_every_weight_of_the_base_and_no_other(base: Path) -> None:
    loaded: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, output_loading_info=True)
    model, info = loaded

    assert {name: list(info[name]) for name in ("missing_keys", "unexpected_keys", "mismatched_keys")} == {
        "missing_keys": [],
        "unexpected_keys": [],
        "mismatched_keys": [],
    }
    linears = {linear.path: (linear.wide, linear.tall) for linear in SHAPE.linears}
    for path, sizes in linears.items():
        module = model.get_submodule(path)
        assert (module.in_features, module.out_features) == sizes


def test_the_tokenizer_has_a_token_for_every_row_of_the_embedding(base: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)

    assert len(tokenizer) == SHAPE.vocabulary
    assert tokenizer.decode(tokenizer("Grüße 💡").input_ids) == "Grüße 💡"
    assert all(tokenizer.convert_ids_to_tokens(list(range(SHAPE.vocabulary))))


def test_a_base_is_written_once(base: Path) -> None:
    written = (base / "model.safetensors").stat().st_mtime_ns

    assert cached_base(SHAPE, base.parent) == base
    assert (base / "model.safetensors").stat().st_mtime_ns == written
    assert [path.name for path in base.parent.iterdir()] == [base.name]


def test_an_adapter_covers_every_linear_and_does_something(tmp_path: Path) -> None:
    folder = write_adapter(SHAPE, 8, tmp_path / "adapter", seed=1)

    config = PeftConfig.from_pretrained(str(folder))
    assert (config.r, config.lora_alpha) == (8, 16)
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    for linear in SHAPE.linears:
        a = tensors.pop(f"base_model.model.{linear.path}.lora_A.weight")
        b = tensors.pop(f"base_model.model.{linear.path}.lora_B.weight")
        assert (tuple(a.shape), tuple(b.shape)) == ((8, linear.wide), (linear.tall, 8))
        assert a.abs().min(dim=1).values.isfinite().all() and b.abs().sum() > 0
    assert tensors == {}


def test_every_adapter_is_published_as_itself(base: Path, tmp_path: Path) -> None:
    workload = Workload("llama-test", requests=3, adapters=3, rank=4, prompt_tokens=8, new_tokens=4)
    registry, counted = FolderRegistry(tmp_path / "registry"), list[int]()

    publish_adapters(workload, base, registry, lambda: counted.append(1))

    folders = adapter_folders(workload, registry)
    assert list(folders) == list(workload.adapter_names())
    assert len(counted) == 3
    assert len({registry.resolve(name).digest for name in folders}) == 3
    assert all((folder / "adapter_model.safetensors").is_file() for folder in folders.values())


def test_adapters_that_are_published_already_are_not_published_again(base: Path, tmp_path: Path) -> None:
    workload = Workload("llama-test", requests=3, adapters=2, rank=4, prompt_tokens=8, new_tokens=4)
    registry = FolderRegistry(tmp_path / "registry")

    publish_adapters(workload, base, registry, lambda: None)
    publish_adapters(replace(workload, adapters=3), base, registry, lambda: None)

    assert [registry.resolve(f"bench/adapter-{number}").version for number in range(3)] == [1, 1, 1]


def test_adapters_of_other_ranks_or_seeds_are_kept_apart(base: Path, tmp_path: Path) -> None:
    workload = Workload("llama-test", adapters=2, rank=4)
    others = [replace(workload, rank=8), replace(workload, ranks=(4, 8)), replace(workload, seed=1)]

    folders = [registry_folder(each, base, tmp_path) for each in (workload, *others)]
    assert len(set(folders)) == 4
    assert registry_folder(replace(workload, adapters=99, slots=3), base, tmp_path) == folders[0]
