"""What is seen of versions as JSON: whole, nothing of it cut."""

from collections.abc import Sequence

from parfocal.cli.documents import Document, alias_document, move_document, version_document
from parfocal.cli.sight.seen import Seen, Standing
from parfocal.cli.sight.servers import Held
from parfocal.registry import Registry, Version, every_item
from parfocal.registry.insight import (
    Ancestor,
    Change,
    Measured,
    Measurement,
    VersionChanges,
    children,
    measurements,
)

# More than anybody trained on from one version.
_MOST_CHILDREN = 100_000


def seen_document(seen: Seen, registry: Registry) -> Document:
    """A version, and all that a page tells of it; reads the whole history of its adapter's aliases."""
    version = seen.version
    moves = every_item(lambda token: registry.alias_moves(version.name, page_token=token))
    more = children(registry, version, _MOST_CHILDREN) if seen.children.has_more else seen.children
    return {
        **version_document(version),
        "size_bytes": version.manifest.size,
        "tags": list(version.manifest.tags),
        "aliases": [alias_document(each.alias) for each in seen.pointing],
        "gates": [_gate_document(each) for each in seen.standings],
        "evaluation": _evaluation_document(version, seen.previous),
        "lineage": {
            "ancestors": [_ancestor_document(each) for each in seen.ancestors],
            "children": [named(child) for child in more.versions],
            "has_more_children": more.has_more,
        },
        "signatures": seen.signatures.documents(),
        "servers": [_held_document(each) for each in seen.servers],
        "alias_history": [move_document(move) for move in moves],
    }


def named(version: Version) -> Document:
    """Which version it is."""
    return {"name": version.name, "version": version.version, "digest": version.digest}


def changes_document(changes: VersionChanges) -> Document:
    """Every change; what is the same is counted."""
    modules = changes.modules
    return {
        "same_base": not changes.base,
        "base_differences": [
            {"field": each.field, "expected": each.expected, "actual": each.actual} for each in changes.base
        ],
        "contract": _changed(changes.contract),
        "modules": {
            "same": modules.same,
            "removed": list(modules.removed),
            "added": list(modules.added),
            "changed": [
                {"path": old.path, "before": old.to_json(), "after": new.to_json()}
                for old, new in modules.changed
            ],
        },
        "data": _changed(changes.data),
        "hyper_parameters": _changed(changes.hyper_parameters),
        "same_hyper_parameters": changes.same_hyper_parameters,
        "evaluation": _changed(changes.evaluation),
        "metrics": _changed(changes.metrics),
        "same_metrics": changes.same_metrics,
        "files": _changed(changes.files),
        "tags": _changed(changes.tags),
        "warnings": _changed(changes.warnings),
    }


def _gate_document(standing: Standing) -> Document:
    return {
        "alias": standing.alias.alias,
        "points_at": standing.alias.version,
        "asked": standing.is_asked,
        "verdict": None if standing.verdict is None else standing.verdict.to_json(),
    }


def _evaluation_document(version: Version, previous: Version | None) -> Document | None:
    evaluation = version.manifest.evaluation
    if evaluation is None:
        return None
    before = None if previous is None else previous.manifest.evaluation
    return {
        "examples": evaluation.examples,
        "data_digest": evaluation.data_digest,
        "previous_version": None if previous is None else previous.version,
        "metrics": [_measurement_document(each) for each in measurements(evaluation, before)],
    }


def _measurement_document(each: Measurement) -> Document:
    return {
        "metric": each.metric,
        "slice": each.slice or None,
        "value": _measured_document(each.value),
        "base": _measured_document(each.base),
        "previous": _measured_document(each.previous),
    }


def _measured_document(measured: Measured | None) -> Document | None:
    if measured is None:
        return None
    return {"value": measured.value, "low": measured.low, "high": measured.high}


def _ancestor_document(ancestor: Ancestor) -> Document:
    version = None if ancestor.version is None else named(ancestor.version)
    return {"written": ancestor.written, "version": version, "note": ancestor.note or None}


def _held_document(held: Held) -> Document:
    if held.fault:
        return {"address": held.address, "held": None, "fault": held.fault}
    if not held.is_held:
        return {"address": held.address, "held": False}
    return {
        "address": held.address,
        "held": True,
        "state": held.state,
        "tier": held.tier,
        "size_bytes": held.size_bytes,
        "pins": held.pins,
    }


def _changed(changes: Sequence[Change]) -> list[Document]:
    return [{"field": each.field, "before": each.before, "after": each.after} for each in changes]
