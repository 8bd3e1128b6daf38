"""What lists are filtered by, taken out of manifests when versions are published. It follows from those.

Only live versions have facts: a list need not look at the others.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

# A database takes some 32,000 values in a statement.
_ROWS_AT_ONCE = 500


class Runs(Protocol):
    """Runs statements, in which each `?` stands for the next value."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> object: ...


@dataclass(frozen=True, slots=True)
class Facts:
    """The base and the parent that a manifest names, its metrics and its tags; empty where it has none.

    `words` are what a search looks in, whatever its case: the adapter's name, the base and the tags.
    """

    base: str
    parent: str
    words: str
    metrics: Mapping[str, float]
    tags: Sequence[str]

    @classmethod
    def of(cls, name: str, manifest: bytes) -> "Facts":
        """What a manifest says, or nothing where it cannot be read."""
        try:
            fields = json.loads(manifest)
            base = _word(fields["contract"]["base"]["id"])
            parent = _word((fields.get("provenance") or {}).get("parent"))
            metrics = _metrics((fields.get("evaluation") or {}).get("metrics"))
            tags = tuple(dict.fromkeys(_word(tag) for tag in fields.get("tags") or ()))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            base, parent, metrics, tags = "", "", {}, ()
        return cls(base, parent, "\n".join([name, base, *tags]).casefold(), metrics, tags)


def note(runs: Runs, version: tuple[str, int], facts: Facts, actor: str, published: str) -> None:
    """Records the facts of a version, given by its name and number."""
    runs.execute(
        "INSERT INTO facts (name, version, base, parent, actor, published, words)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*version, facts.base, facts.parent, actor, published, facts.words),
    )
    _insert(
        runs,
        "version_metrics (name, version, metric, value)",
        [(*version, *each) for each in facts.metrics.items()],
    )
    _insert(runs, "version_tags (name, version, tag)", [(*version, tag) for tag in facts.tags])


def forget(runs: Runs, name: str, version: int) -> None:
    """Removes the facts of a version that is deleted."""
    for table in ("facts", "version_metrics", "version_tags"):
        runs.execute(f"DELETE FROM {table} WHERE name = ? AND version = ?", (name, version))


def _insert(runs: Runs, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
    for begin in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[begin : begin + _ROWS_AT_ONCE]
        row = f"({', '.join('?' * len(part[0]))})"
        values = [value for each in part for value in each]
        runs.execute(f"INSERT INTO {columns} VALUES {', '.join([row] * len(part))}", values)


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _metrics(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    numbers = {name: _number(each) for name, each in value.items()}
    return {name: number for name, number in numbers.items() if math.isfinite(number)}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
