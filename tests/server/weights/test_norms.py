"""Norms of adapters' changes, held against the whole matrices."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.registry.peft_folders import FEATURES, Adapter, raw_safetensors, write_adapter, write_base
from parfocal.registry import FolderRegistry, Publication, Version, describe_base, locate_base
from parfocal.server.weights import Norms, compare, open_factors

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Recipe:
    """How random weights are made."""

    seed: int = 0
    dtype: str = "F32"
    rank: int = 4
    modules: tuple[str, ...] = ("q_proj", "k_proj")
    scale: float = 1.0
    rslora: bool = False


@dataclass(frozen=True)
class Made:
    """A version, and what it changes each module by."""

    version: Version
    changes: Mapping[str, Matrix]


Make = Callable[[Recipe], Made]


def stored(values: Matrix, dtype: str) -> tuple[bytes, Matrix]:
    """The bytes of a matrix as it is stored, and the numbers that they stand for."""
    if dtype == "BF16":
        halves = (values.astype("<f4").view("<u4") >> 16).astype("<u2")
        return halves.tobytes(), (halves.astype("<u4") << 16).view("<f4").astype(float)
    kept = values.astype({"F32": "<f4", "F16": "<f2"}[dtype])
    return kept.tobytes(), kept.astype(float)


def drawn(recipe: Recipe) -> tuple[bytes, dict[str, Matrix]]:
    """A file of weights, and what they change each module by."""
    draw = np.random.default_rng(recipe.seed)
    header: dict[str, object] = {}
    data, changes = b"", dict[str, Matrix]()
    alpha = 8 / (np.sqrt(recipe.rank) if recipe.rslora else recipe.rank)
    for layer in (0, 1):
        for module in recipe.modules:
            inputs, outputs = FEATURES[module]
            path, factors = f"model.layers.{layer}.self_attn.{module}", []
            for side, shape in (("A", (recipe.rank, inputs)), ("B", (outputs, recipe.rank))):
                held, numbers = stored(draw.normal(size=shape) * recipe.scale, recipe.dtype)
                offsets = [len(data), len(data) + len(held)]
                name = f"base_model.model.{path}.lora_{side}.weight"
                header[name] = {"dtype": recipe.dtype, "shape": shape, "data_offsets": offsets}
                data += held
                factors.append(numbers)
            changes[path] = alpha * factors[1] @ factors[0]
    return raw_safetensors(json.dumps(header).encode(), data), changes


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    return FolderRegistry(tmp_path / "registry")


@pytest.fixture
def make(registry: FolderRegistry, tmp_path: Path) -> Make:
    """Returns a function that publishes what a recipe says."""
    base = describe_base(locate_base(str(write_base(tmp_path / "small-base")), weights=False))
    count = iter(range(100))

    def made(recipe: Recipe) -> Made:
        config = {"use_rslora": recipe.rslora}
        folder = write_adapter(
            tmp_path / f"adapter-{next(count)}",
            Adapter(rank=recipe.rank, modules=recipe.modules, config=config),
        )
        weights, changes = drawn(recipe)
        (folder / "adapter_model.safetensors").write_bytes(weights)
        return Made(registry.publish("x", folder, Publication(base)), changes)

    return made


def norms(registry: FolderRegistry, before: Made, after: Made) -> Norms:
    folders = [registry.materialise(each.version.digest) for each in (before, after)]
    with open_factors(before.version, folders[0]) as old, open_factors(after.version, folders[1]) as new:
        return compare(old, new)


@pytest.mark.parametrize("dtypes", [("F32", "F32"), ("F16", "BF16"), ("BF16", "F32")])
@pytest.mark.parametrize("ranks", [(4, 4), (4, 2), (1, 8)])
def test_norms_are_those_of_the_whole_matrices(
    registry: FolderRegistry, make: Make, dtypes: tuple[str, str], ranks: tuple[int, int]
) -> None:
    before, after = (make(Recipe(at, dtypes[at], ranks[at], rslora=bool(at))) for at in (0, 1))
    found = norms(registry, before, after)
    assert [each.name for each in found.modules] == sorted(before.changes)
    for each in found.modules:
        old, new = before.changes[each.name], after.changes[each.name]
        wanted = [np.linalg.norm(matrix) for matrix in (old, new, new - old)]
        assert [each.sizes.before, each.sizes.after, each.sizes.difference] == pytest.approx(wanted, rel=1e-9)
        cosine = float(np.sum(old * new) / (wanted[0] * wanted[1]))
        assert each.sizes.cosine == pytest.approx(cosine, abs=1e-9)
    assert [each.name for each in found.layers] == ["model.layers.0", "model.layers.1"]
    whole = [np.concatenate([each.ravel() for each in made.changes.values()]) for made in (before, after)]
    assert found.total.difference == pytest.approx(np.linalg.norm(whole[1] - whole[0]), rel=1e-9)
    cosine = float(whole[0] @ whole[1] / (np.linalg.norm(whole[0]) * np.linalg.norm(whole[1])))
    assert found.total.cosine == pytest.approx(cosine, abs=1e-9)


def test_equal_changes_differ_by_exactly_nothing(registry: FolderRegistry, make: Make) -> None:
    before = make(Recipe())
    found = norms(registry, before, before)
    assert {each.sizes.difference for each in (*found.modules, *found.layers)} == {0.0}
    assert found.total.cosine == pytest.approx(1)


def test_what_differs_in_the_last_bit_differs_by_that(registry: FolderRegistry, make: Make) -> None:
    before, after = make(Recipe()), make(Recipe(scale=1 + 1e-6))
    for each in norms(registry, before, after).modules:
        wanted = np.linalg.norm(after.changes[each.name] - before.changes[each.name])
        assert each.sizes.difference == pytest.approx(wanted, rel=1e-6)
        assert 0 < wanted < 1e-5 * np.linalg.norm(before.changes[each.name])


def test_a_module_of_one_side_differs_by_all_of_it(registry: FolderRegistry, make: Make) -> None:
    before, after = make(Recipe()), make(Recipe(modules=("q_proj", "v_proj")))
    found = {each.name: each.sizes for each in norms(registry, before, after).modules}
    only = found["model.layers.0.self_attn.k_proj"]
    assert only.after is None and only.cosine is None
    assert only.difference == only.before
    added = found["model.layers.1.self_attn.v_proj"]
    assert added.before is None and added.difference == added.after


def test_shapes_that_differ_are_not_compared(registry: FolderRegistry, make: Make) -> None:
    before = make(Recipe())
    folder = registry.materialise(before.version.digest)
    with open_factors(before.version, folder) as old, open_factors(before.version, folder) as new:
        wide = {
            path: replace(target, in_features=target.in_features * 2) for path, target in new.targets.items()
        }
        new.targets = wide
        with pytest.raises(OSError, match="not those that the manifest tells of"):
            compare(old, new)
