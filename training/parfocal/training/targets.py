"""Which of the modules that were asked for the base does not have. Knows no torch."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from parfocal.registry import BaseContract
from parfocal.registry.bases import layer_projections
from parfocal.training.errors import InvalidConfig


def check_targets(targets: Sequence[str], contract: BaseContract) -> None:
    """Refuses targets that no layer has, where the base's configuration decides what its layers have.

    Raises:
        InvalidConfig: a target names none of the base's linear modules.
    """
    if contract.shape is not None:
        layers = range(contract.shape.layers)
        names = [
            f"{contract.shape.prefix}layers.{layer}.{name}"
            for layer in layers
            for name in layer_projections(contract.shape)
        ]
        check_named(targets, names)


def check_named(targets: Sequence[str], modules: Iterable[str]) -> None:
    """Raises InvalidConfig for a target that is neither one of `modules` nor the last names of one."""
    paths = [f".{module}" for module in modules]
    for target in targets:
        if any(path.endswith(f".{target}") for path in paths):
            continue
        known = sorted({path.rpartition(".")[2] for path in paths})
        near = get_close_matches(target, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InvalidConfig(
            f"targets name {target!r}, no linear module of the base; it has {', '.join(known)}{hint}",
            field="targets",
        )
