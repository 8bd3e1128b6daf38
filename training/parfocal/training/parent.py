"""Finds the published adapter that a run continues from, and refuses one that does not fit."""

from dataclasses import replace

from parfocal.registry import AdapterNotFound, BaseContract, Contract, Registry, Version, VersionNotFound
from parfocal.training.config import TrainConfig
from parfocal.training.errors import InvalidConfig, ParentMismatch
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.runs import Parent


def find_parent(
    config: TrainConfig, contract: BaseContract, hyperparameters: Hyperparameters, registry: Registry | None
) -> Parent | None:
    """Finds the version that `config.parent` means now, with its verified files; None without a parent.

    Raises:
        InvalidConfig: there is no registry to find it in.
        ParentMismatch: it was made for another base, or its rank or scaling is not that of this run.
        RegistryError: it does not exist, or the registry does not answer.
    """
    version = check_parent(config, contract, hyperparameters, registry)
    if version is None or registry is None:
        return None
    return Parent(str(version), version.digest, registry.materialise(version.digest))


def fetch_parent(parent: Parent, registry: Registry | None) -> Parent:
    """Fetches the files of the parent that a run began from, whatever its alias means by now.

    Raises:
        ParentMismatch: the registry no longer has it, or there is none.
        RegistryError: the registry does not answer.
    """
    if registry is None:
        raise ParentMismatch(
            f"the run began from {parent.name} ({parent.digest}) and has no checkpoint yet; name the "
            "registry that has it with --registry",
            field="parent",
        )
    try:
        return replace(parent, folder=registry.materialise(parent.digest))
    except (AdapterNotFound, VersionNotFound) as error:
        raise ParentMismatch(
            f"the run began from {parent.name} ({parent.digest}), which the registry does not have; name "
            "the registry that has it with --registry, or start a new run",
            field="parent",
        ) from error


def check_parent(
    config: TrainConfig, contract: BaseContract, hyperparameters: Hyperparameters, registry: Registry | None
) -> Version | None:
    """Finds the version that `config.parent` means, without its files; raises as `find_parent`."""
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
