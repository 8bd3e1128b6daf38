"""A registry's answers as JSON. Times are ISO 8601 in UTC."""

import json
from datetime import UTC, datetime

from parfocal.registry import AdapterSummary, Alias, AliasMove, Canary, Version

Document = dict[str, object]


def adapter_document(adapter: AdapterSummary) -> Document:
    """An adapter as JSON."""
    return {
        "name": adapter.name,
        "latest_version": adapter.latest_version,
        "version_count": adapter.version_count,
        "aliases": dict(adapter.aliases),
        "canaries": {alias: canary_document(canary) for alias, canary in adapter.canaries.items()},
        "created_at": _time(adapter.created_at),
        "updated_at": _time(adapter.updated_at),
    }


def version_document(version: Version) -> Document:
    """A version with its whole manifest as JSON, or with the `fault` that makes it unreadable."""
    fault = version.fault
    return {
        "name": version.name,
        "version": version.version,
        "digest": version.digest,
        "created_at": _time(version.created_at),
        "manifest": json.loads(version.manifest_bytes) if fault is None else None,
        **({} if fault is None else {"fault": fault}),
    }


def alias_document(alias: Alias) -> Document:
    """Where an alias points as JSON."""
    return {
        "name": alias.name,
        "alias": alias.alias,
        "version": alias.version,
        "digest": alias.digest,
        "actor": alias.actor,
        "moved_at": _time(alias.moved_at),
        "canary": None if alias.canary is None else canary_document(alias.canary),
    }


def canary_document(canary: Canary) -> Document:
    """An alias's second version as JSON; its weight in percent."""
    return {
        "version": canary.version,
        "digest": canary.digest,
        "weight_percent": canary.weight / 100,
        "guards": [guard.to_json() for guard in canary.plan.guards],
        "number": canary.number,
        "actor": canary.actor,
        "begun_at": _time(canary.begun_at),
    }


def move_document(move: AliasMove) -> Document:
    """One move of an alias as JSON."""
    return {
        "alias": move.alias,
        "previous_version": move.previous_version,
        "version": move.version,
        "digest": move.digest,
        "kind": str(move.kind),
        "actor": move.actor,
        "moved_at": _time(move.moved_at),
        "gate": json.loads(move.gate) if move.gate else None,
        "canary": json.loads(move.canary) if move.canary else None,
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
