"""Conditions that a list's rows must meet, and the table that answers them without reading a manifest."""

import json
from collections.abc import Iterable
from typing import Any

from parfocal.registry.index.sql.rows import moment_text
from parfocal.registry.values import MoveFilter, Span, VersionFilter

Condition = tuple[str, tuple[object, ...]]


def of_versions(where: VersionFilter, table: str = "v") -> Condition:
    """What follows the conditions of a statement over versions, called `table` there."""
    fact = f"EXISTS (SELECT 1 FROM facts f WHERE f.name = {table}.name AND f.version = {table}.version AND"
    alias = f"EXISTS (SELECT 1 FROM aliases l WHERE l.name = {table}.name AND l.version = {table}.version AND"
    given = [
        (f"{fact} f.base = ?)", where.base),
        (f"{fact} f.parent = ?)", where.parent),
        (f"{fact} f.actor = ?)", where.actor),
        (f"{alias} l.alias = ?)", where.alias),
        *_in(where.published, f"{table}.created_at"),
    ]
    return _joined(given)


def of_moves(where: MoveFilter) -> Condition:
    """What follows the conditions of a statement over events."""
    return _joined([("actor = ?", where.actor), *_in(where.moved, "happened_at")])


def facts_of(manifest: bytes) -> tuple[str, str]:
    """The base and the parent that a manifest names, empty where it names none or cannot be read."""
    try:
        fields = json.loads(manifest)
        base, provenance = fields["contract"]["base"]["id"], fields.get("provenance") or {}
        return _word(base), _word(provenance.get("parent"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "", ""


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _in(span: Span, column: str) -> Iterable[tuple[str, str]]:
    if span.since is not None:
        yield f"{column} >= ?", moment_text(span.since)
    if span.until is not None:
        yield f"{column} < ?", moment_text(span.until)


def _joined(given: Iterable[tuple[str, str]]) -> Condition:
    used = [(condition, value) for condition, value in given if value]
    return "".join(f" AND {condition}" for condition, _ in used), tuple(value for _, value in used)
