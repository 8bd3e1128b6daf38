"""Seals the events of an index that was written before events had hashes."""

from collections.abc import Iterable, Iterator
from typing import Any

from parfocal.registry.index.sql.rows import event_of

UNSEALED_COLUMNS = "sequence, kind, name, happened_at, version, digest, alias, previous_version, actor"


SEALED_COLUMNS = f"{UNSEALED_COLUMNS}, hash"


def sealed_rows(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows of all events in order, each with its hash after the other columns; raises IndexCorrupt."""
    previous = ""
    for sequence, kind, name, when, version, digest, alias, before, actor in rows:
        row = (sequence, kind, name, when, version, digest, alias, before, actor)
        previous = event_of((*row, "", "", "")).hash_after(previous)
        yield (*row, previous)
