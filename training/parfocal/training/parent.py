"""Finds the published adapter that a run continues from, and refuses one that does not fit."""

from parfocal.registry import BaseContract, Contract, Registry
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
    name = f"{version.name}@{version.version}"
    _check_scaling(name, version.manifest.contract, recipe)
    return Parent(name, registry.materialise(version.digest))


def _check_scaling(parent: str, contract: Contract, recipe: Recipe) -> None:
    _check(parent, "use_rslora", contract.use_rslora, recipe.rslora)
    for target in contract.targets:
        _check(parent, "r", target.rank, recipe.rank, target.path)
        _check(parent, "lora_alpha", target.alpha, recipe.alpha, target.path)


def _check(parent: str, field: str, theirs: float, mine: float, path: str = "") -> None:
    if theirs != mine:
        where = f" ({path})" if path else ""
        raise ParentMismatch(
            f"{parent} has {field} {theirs:g}, this run {mine:g}{where}; give the same", field=field
        )
