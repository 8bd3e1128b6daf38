"""Aliases with canaries in words. Knows no registry."""

from collections.abc import Iterator

from parfocal.cli.display import time_text
from parfocal.registry import Alias, Canary
from parfocal.registry.values import weight_text


def held(alias: Alias, version: int) -> str:
    """An alias beside a version that it gives requests to."""
    canary = alias.canary
    if canary is None:
        return alias.alias
    if version == canary.version:
        return f"{alias.alias} (canary, {weight_text(canary.weight)})"
    return f"{alias.alias} (but {weight_text(canary.weight)} to {canary.version})"


def points_at(alias: Alias) -> str:
    """Where an alias points, and what its canary gets."""
    canary = alias.canary
    also = "" if canary is None else f", {weight_text(canary.weight)} to {canary.version}"
    return f"version {alias.version}{also}"


def told(alias: Alias) -> Iterator[tuple[str, str]]:
    """An alias and its canary, as pairs of a name and a value."""
    yield "alias", f"{alias.name}@{alias.alias}"
    yield "means", f"version {alias.version} ({alias.digest})"
    if alias.canary is None:
        yield "canary", "none"
        return
    yield from _canary(alias.canary)


def _canary(canary: Canary) -> Iterator[tuple[str, str]]:
    yield "canary", f"version {canary.version} ({canary.digest})"
    yield "weight", weight_text(canary.weight)
    yield "begun", f"{time_text(canary.begun_at)}{f' by {canary.actor}' if canary.actor else ''}"
    yield "aborted on", "; ".join(map(str, canary.plan.guards)) or "nothing: promote or abort it yourself"
