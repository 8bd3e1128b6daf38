"""Finds the published adapter that a run continues from, and refuses one that does not fit."""

from parfocal.registry import BaseContract, Contract, Registry, Version
from parfocal.training.config import TrainConfig
from parfocal.training.errors import InvalidConfig, ParentMismatch
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.runs import Parent


def find_parent(
    config: TrainConfig, contract: BaseContract, hyperparameters: Hyperparameters, registry: Registry | None
) -> Parent | None:
    """Returns the version that `config.parent` means with its verified files, or None.

    Raises:
        InvalidConfig: there is no registry to find it in.
        ParentMismatch: it was made for another base, or its rank or scaling is not that of this run.
        RegistryError: it does not exist, or the registry does not answer.
    """
    version = check_parent(config, contract, hyperparameters, registry)
    if version is None or registry is None:
        return None
    return Parent(f"{version.name}@{version.version}", registry.materialise(version.digest))


def check_parent(
    config: TrainConfig, contract: BaseContract, hyperparameters: Hyperparameters, registry: Registry | None
) -> Version | None:
    """Returns the version that `config.parent` means, without its files, or None; raises as `find_parent`."""
    if config.parent is None:
        return None
    if registry is None:
        raise InvalidConfig(
            f"the parent {config.parent} needs a registry to be found in; name one with --registry",
            field="registry",
        )
    version = registry.resolve(config.parent)
    differences = version.manifest.contract.base.differences(contract)
    if differences:
        raise ParentMismatch(
            f"{config.parent} was made for another base: {differences[0]}", field=differences[0].field
        )
    _check_scaling(f"{version.name}@{version.version}", version.manifest.contract, hyperparameters)
    return version


def _check_scaling(parent: str, contract: Contract, hyperparameters: Hyperparameters) -> None:
    _check(parent, "use_rslora", contract.use_rslora, hyperparameters.rslora)
    for target in contract.targets:
        _check(parent, "r", target.rank, hyperparameters.rank, target.path)
        _check(parent, "lora_alpha", target.alpha, hyperparameters.alpha, target.path)


def _check(parent: str, field: str, theirs: float, mine: float, path: str = "") -> None:
    if theirs != mine:
        where = f" ({path})" if path else ""
        raise ParentMismatch(
            f"{parent} has {field} {theirs:g}, this run {mine:g}{where}; give the same", field=field
        )
