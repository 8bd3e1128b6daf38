"""Finds the published adapter that a run continues from, and refuses one that does not fit."""

from collections.abc import Sequence
from dataclasses import replace

from parfocal.registry import (
    AdapterNotFound,
    BaseContract,
    Contract,
    Registry,
    Version,
    VersionNotFound,
)
from parfocal.registry.bases import layer_projections
from parfocal.training.config import TrainConfig
from parfocal.training.errors import InvalidConfig, ParentMismatch
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.runs import Parent


def begun_from(config: TrainConfig, registry: Registry | None) -> TrainConfig:
    """The settings, with what they leave open of base, rank, scale, targets and rendering from the parent.

    What they give otherwise is refused by `check_parent`, once the base is known.

    Raises:
        InvalidConfig: there is no registry to find the parent in.
        ParentMismatch: it has several ranks or scales, or a chat template of its own.
        RegistryError: it does not exist, or the registry does not answer.
    """
    if config.parent is None:
        return config
    version = _resolved(config.parent, registry)
    contract = version.manifest.contract
    named = f"{version.name}@{version.version}"
    _check_continuable(named, contract)
    first, base, rendering = contract.targets[0], contract.base, contract.rendering
    form = config.rendering
    if form == "auto" and rendering is not None and rendering.form == "chat":
        form = "chat"
    variables = config.template_variables or (rendering.template_variables if rendering is not None else {})
    return replace(
        config,
        base=config.base or (f"{base.id}@{base.revision}" if base.revision else base.id),
        rank=first.rank if config.rank is None else config.rank,
        alpha=int(first.alpha) if config.alpha is None else config.alpha,
        rslora=contract.use_rslora if config.rslora is None else config.rslora,
        targets=config.targets or _targets(contract),
        rendering=form,
        template_variables=variables,
    )


def _check_continuable(parent: str, contract: Contract) -> None:
    first = contract.targets[0]
    for target in contract.targets:
        for field, theirs, its in (
            ("rank", target.rank, first.rank),
            ("alpha", target.alpha, first.alpha),
        ):
            if theirs != its:
                raise ParentMismatch(
                    f"{parent} has {field} {its:g} in {first.path} and {theirs:g} in {target.path}; only an "
                    "adapter of one rank and scale is continued",
                    field=field,
                )
    if int(first.alpha) != first.alpha:
        raise ParentMismatch(
            f"{parent} has alpha {first.alpha:g}; only whole ones are continued", field="alpha"
        )
    if contract.chat_template_digest is not None:
        raise ParentMismatch(
            f"{parent} has a chat template of its own, which training does not write rows with; continue one "
            "that uses its base's",
            field="chat_template_digest",
        )


def _targets(contract: Contract) -> tuple[str, ...]:
    """Suffixes that name the parent's modules and no others, or their whole paths; empty for all linears."""
    paths = {target.path for target in contract.targets}
    modules = _modules(contract.base)
    if paths == modules:
        return ()
    ends = sorted({path.rpartition(".")[2] for path in paths})
    if not modules:
        return tuple(ends)
    return tuple(ends) if _named(ends, modules) == paths else tuple(sorted(paths))


def _named(targets: Sequence[str], modules: set[str]) -> set[str]:
    """Those of the base's modules that the targets name; all of them for none."""
    return {
        module for module in modules if not targets or any(f".{module}".endswith(f".{t}") for t in targets)
    }


def _modules(base: BaseContract) -> set[str]:
    """The linears of the base's layers, where its configuration decides what they are."""
    shape = base.shape
    if shape is None:
        return set()
    names = layer_projections(shape)
    return {f"{shape.prefix}layers.{layer}.{name}" for layer in range(shape.layers) for name in names}


def _resolved(parent: str, registry: Registry | None) -> Version:
    if registry is None:
        raise InvalidConfig(
            f"the parent {parent} needs a registry to be found in; name one with --registry",
            field="registry",
        )
    return registry.resolve(parent)


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
    version = _resolved(config.parent, registry)
    differences = version.manifest.contract.base.differences(contract)
    if differences:
        raise ParentMismatch(
            f"{config.parent} was made for another base: {differences[0]}; leave out --base, or name the one "
            "that it was made for",
            field=differences[0].field,
        )
    named = f"{version.name}@{version.version}"
    _check_scaling(named, version.manifest.contract, hyperparameters)
    _check_targets(named, version.manifest.contract, config.targets)
    return version


def _check_targets(parent: str, contract: Contract, targets: Sequence[str]) -> None:
    modules = _modules(contract.base)
    paths = {target.path for target in contract.targets}
    others = paths ^ _named(targets, modules) if modules else set()
    if others:
        path = min(others)
        has, lacks = ("the parent", "this run") if path in paths else ("this run", "the parent")
        raise ParentMismatch(
            f"{has} adapts {path}, {lacks} does not ({parent}); leave out --targets", field="targets"
        )


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
