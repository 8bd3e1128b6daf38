"""Finds the published adapter that a run continues from, and refuses one that does not fit."""

import json

from parfocal.registry import BaseContract, Registry
from parfocal.training.config import TrainConfig
from parfocal.training.errors import InvalidConfig, ParentMismatch
from parfocal.training.recipe import Recipe
from parfocal.training.runs import Parent


def find_parent(
    config: TrainConfig, contract: BaseContract, recipe: Recipe, registry: Registry | None
) -> Parent | None:
    """Returns the version that `config.parent` means with its verified files, or None.

    Raises:
        InvalidConfig: there is no registry to find it in.
        ParentMismatch: it was made for another base, or its rank or scaling is not that of this run.
        RegistryError: it does not exist, or the registry does not answer.
    """
    if config.parent is None:
        return None
    if registry is None:
        raise InvalidConfig("a parent adapter needs a registry to be found in", field="registry")
    version = registry.resolve(config.parent)
    differences = version.manifest.contract.base.differences(contract)
    if differences:
        raise ParentMismatch(
            f"{config.parent} was made for another base: {differences[0]}", field=differences[0].field
        )
    parent = Parent(f"{version.name}@{version.version}", registry.materialise(version.digest))
    _check_scaling(parent, recipe)
    return parent


def _check_scaling(parent: Parent, recipe: Recipe) -> None:
    config = json.loads((parent.folder / "adapter_config.json").read_text("utf-8"))
    mine = {"r": recipe.rank, "lora_alpha": recipe.alpha, "use_rslora": recipe.rslora}
    for name, value in mine.items():
        if config[name] != value:
            raise ParentMismatch(
                f"{parent.name} has {name} {config[name]}, this run {value}; give the same", field=name
            )
