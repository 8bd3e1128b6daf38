"""In what two versions differ, as their manifests tell. Reads no weights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from parfocal.registry.values import JSON, Difference, Manifest, TargetModule

# What is compared by itself.
_TARGETS, _HYPER_PARAMETERS = "targets", "hyper_parameters"


@dataclass(frozen=True, slots=True)
class Change:
    """A field with what it was and what it is; None where it is not there."""

    field: str
    before: JSON
    after: JSON


@dataclass(frozen=True, slots=True)
class ModuleChanges:
    """Paths of modules that one version has alone, both of each that differs, and how many are equal."""

    removed: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[tuple[TargetModule, TargetModule], ...]
    same: int


@dataclass(frozen=True, slots=True)
class VersionChanges:
    """What differs between two manifests, part by part.

    `base` is what makes one base not the other, nothing where both compute the same; what bases are called
    is in `contract`.
    """

    base: tuple[Difference, ...]
    contract: tuple[Change, ...]
    modules: ModuleChanges
    data: tuple[Change, ...]
    hyper_parameters: tuple[Change, ...]
    same_hyper_parameters: int
    evaluation: tuple[Change, ...]
    metrics: tuple[Change, ...]
    same_metrics: int
    files: tuple[Change, ...]
    tags: tuple[Change, ...]
    warnings: tuple[Change, ...]


def changes_between(before: Manifest, after: Manifest) -> VersionChanges:
    """What differs from one manifest to another; fields within fields are named by dots."""
    hyper_parameters = [_hyper_parameters(each) for each in (before, after)]
    metrics = [_metrics(each) for each in (before, after)]
    return VersionChanges(
        base=tuple(before.contract.base.differences(after.contract.base)),
        contract=_changes(*(_contract(each) for each in (before, after))),
        modules=_module_changes(before.contract.targets, after.contract.targets),
        data=_changes(*(_origin(each) for each in (before, after))),
        hyper_parameters=_changes(*hyper_parameters),
        same_hyper_parameters=_same(*hyper_parameters),
        evaluation=_changes(*(_measured_on(each) for each in (before, after))),
        metrics=_changes(*metrics),
        same_metrics=_same(*metrics),
        files=_changes(*(_files(each) for each in (before, after))),
        tags=_changes(*(dict.fromkeys(each.tags, True) for each in (before, after))),
        warnings=_changes(*(dict.fromkeys(each.warnings, True) for each in (before, after))),
    )


def _changes(before: Mapping[str, JSON], after: Mapping[str, JSON]) -> tuple[Change, ...]:
    return tuple(
        Change(field, before.get(field), after.get(field))
        for field in sorted(before.keys() | after.keys())
        if before.get(field) != after.get(field)
    )


def _same(before: Mapping[str, JSON], after: Mapping[str, JSON]) -> int:
    return sum(1 for field, value in before.items() if value is not None and after.get(field) == value)


def _contract(manifest: Manifest) -> dict[str, JSON]:
    whole = {name: value for name, value in manifest.contract.to_json().items() if name != _TARGETS}
    return dict(_leaves(whole))


def _origin(manifest: Manifest) -> dict[str, JSON]:
    if manifest.provenance is None:
        return {}
    fields = manifest.provenance.to_json()
    return dict(_leaves({name: value for name, value in fields.items() if name != _HYPER_PARAMETERS}))


def _hyper_parameters(manifest: Manifest) -> dict[str, JSON]:
    return {} if manifest.provenance is None else dict(_leaves(manifest.provenance.hyper_parameters))


def _measured_on(manifest: Manifest) -> dict[str, JSON]:
    if manifest.evaluation is None:
        return {}
    return {"data_digest": manifest.evaluation.data_digest, "examples": manifest.evaluation.examples}


def _metrics(manifest: Manifest) -> dict[str, JSON]:
    return {} if manifest.evaluation is None else dict(manifest.evaluation.metrics)


def _files(manifest: Manifest) -> dict[str, JSON]:
    return {file.path: f"{file.size} bytes, {file.digest}" for file in manifest.files}


def _module_changes(before: Sequence[TargetModule], after: Sequence[TargetModule]) -> ModuleChanges:
    old, new = ({target.path: target for target in targets} for targets in (before, after))
    both = [path for path in old if path in new]
    return ModuleChanges(
        removed=tuple(path for path in old if path not in new),
        added=tuple(path for path in new if path not in old),
        changed=tuple((old[path], new[path]) for path in both if old[path] != new[path]),
        same=sum(1 for path in both if old[path] == new[path]),
    )


def _leaves(value: Mapping[str, JSON], path: str = "") -> Iterator[tuple[str, JSON]]:
    """Every value that is no object, by the dotted path to it; lists are values."""
    for name, item in value.items():
        at = f"{path}.{name}" if path else name
        if isinstance(item, Mapping) and item:
            yield from _leaves(item, at)
        else:
            yield at, item
