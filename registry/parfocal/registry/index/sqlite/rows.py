"""Rows of the index as the registry's values. Runs no statement."""

from collections.abc import Iterable
from datetime import UTC, datetime

from parfocal.registry.values import Alias, Event, EventKind, Version

VERSION_COLUMNS = "name, version, digest, manifest, created_at"
EVENT_COLUMNS = "sequence, kind, name, happened_at, version, digest, alias, previous_version, actor"
VersionRow = tuple[str, int, str, bytes, str]
EventRow = tuple[int, str, str, str, int, str, str, int, str]
# A page on the wire holds each manifest twice and must stay well below the message limit.
_MAX_PAGE_BYTES = 4 << 20


def now() -> datetime:
    """The current time, as precise as the index records it."""
    return datetime.now(UTC)


def moment_text(moment: datetime) -> str:
    """A moment as the index writes it: with microseconds, so that text sorts by time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def version_of(row: VersionRow) -> Version:
    """The version in a row, its manifest read; raises IndexCorrupt or RegistryTooNew."""
    return listed(row).checked()


def listed(row: VersionRow) -> Version:
    """The version in a row, whether or not its manifest can be read."""
    name, number, digest, data, created_at = row
    return Version(name, number, digest, data, datetime.fromisoformat(created_at))


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


def alias_of(row: tuple[str, str, int, str, str, str]) -> Alias:
    """The alias in a row."""
    name, alias, version, digest, actor, moved_at = row
    return Alias(name, alias, version, digest, actor, datetime.fromisoformat(moved_at))


def event_of(row: EventRow) -> Event:
    """The event in a row."""
    sequence, kind, name, when, version, digest, alias, previous, actor = row
    happened_at = datetime.fromisoformat(when)
    return Event(sequence, EventKind(kind), name, happened_at, version, digest, alias, previous, actor)
