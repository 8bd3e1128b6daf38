"""Rows of the index as the registry's values. Runs no statement."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from parfocal.registry.errors import IndexCorrupt, InvalidCanary
from parfocal.registry.values import Alias, Canary, CanaryPlan, Event, EventKind, Version

VERSION_COLUMNS = "name, version, digest, manifest, created_at"
EVENT_COLUMNS = (
    "sequence, kind, name, happened_at, version, digest, alias, previous_version, actor, hash, gate, canary"
)
VersionRow = tuple[str, int, str, bytes, str]
EventRow = tuple[int, str, str, str, int, str, str, int, str, str, str, str]
AliasRow = tuple[str, str, int, str, str, str, int | None, str, str, str]
# What an alias was pointed at; other events of an alias are those of its gate.
MOVES = "alias <> '' AND kind NOT IN ('gate_set', 'gate_cleared')"
# Of these, those that point it elsewhere.
POINTINGS = "kind IN ('alias_set', 'alias_rolled_back', 'alias_deleted')"
GATES = "kind IN ('gate_set', 'gate_cleared')"
# A page on the wire holds each manifest twice and must stay well below the message limit.
_MAX_PAGE_BYTES = 4 << 20
# A page of moves, beside all else that a thousand of them say, in what any client of gRPC reads.
_MAX_FOUND_CHARACTERS = 512 << 10


def now() -> datetime:
    """The current time, as precise as the index records it."""
    return datetime.now(UTC)


def moment_text(moment: datetime) -> str:
    """A moment as the index writes it: with microseconds, so that text sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def moment_in(text: str) -> datetime:
    """The moment that the index wrote so; raises IndexCorrupt."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise _no_such(f"time {text[:40]!a}") from error


def listed(row: VersionRow) -> Version:
    """The version in a row, whether or not its manifest can be read."""
    name, number, digest, data, created_at = row
    return Version(name, number, digest, data, moment_in(created_at))


def fitting(rows: Iterable[VersionRow], limit: int) -> tuple[tuple[Version, ...], bool]:
    """At most `limit` versions whose manifests fit a page, at least one, and whether more follow.

    One that cannot be read keeps none of the others from the page.
    """
    items: list[Version] = []
    page_bytes = 0
    for row in rows:
        page_bytes += len(row[3])
        if len(items) == limit or (items and page_bytes > _MAX_PAGE_BYTES):
            return tuple(items), True
        items.append(listed(row))
    return tuple(items), False


def fitting_moves(rows: Sequence[EventRow], limit: int) -> tuple[Sequence[EventRow], bool]:
    """At most `limit` moves whose findings fit a page, at least one, and whether more follow."""
    page_bytes = 0
    for count, row in enumerate(rows):
        page_bytes += len(row[-1]) + len(row[-2])
        if count == limit or (count and page_bytes > _MAX_FOUND_CHARACTERS):
            return rows[:count], True
    return rows, False


def alias_of(row: AliasRow) -> Alias:
    """The alias in a row; raises IndexCorrupt."""
    name, alias, version, digest, actor, moved_at, *_ = row
    return Alias(name, alias, version, digest, actor, moment_in(moved_at), _canary_of(row))


def event_of(row: EventRow) -> Event:
    """The event in a row; raises IndexCorrupt."""
    sequence, kind, name, when, version, digest, alias, previous, actor, hash_text, gate, canary = row
    target = version, digest, alias, previous
    return Event(sequence, _kind(kind), name, moment_in(when), *target, actor, hash_text, gate, canary)


def _canary_of(row: AliasRow) -> Canary | None:
    name, alias, *_, number, actor, begun_at, told = row
    if number is None:
        return None
    try:
        plan, digest = CanaryPlan.parse(told)
    except InvalidCanary as error:
        raise _no_such(f"canary {number} of {name}@{alias} ({error})") from error
    return Canary(name, alias, plan, digest, number, actor, moment_in(begun_at))


def _kind(text: str) -> EventKind:
    try:
        return EventKind(text)
    except ValueError as error:
        raise _no_such(f"kind of event {text[:40]!a}") from error


def _no_such(what: str) -> IndexCorrupt:
    return IndexCorrupt(
        f"the index is damaged: it holds the {what}, which it never wrote; restore a backup, or run parfocal "
        "registry rebuild with the registry's folder"
    )
