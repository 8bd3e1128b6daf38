"""Rows of the index as the registry's values. Runs no statement."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

from parfocal.registry.errors import IndexCorrupt, InvalidManifest
from parfocal.registry.values import Alias, Event, EventKind, Manifest, Version, digest_of

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
    """The version in a row; raises IndexCorrupt."""
    name, number, digest, data, created_at = row
    return Version(name, number, digest, _manifest(data, digest), datetime.fromisoformat(created_at))


def fitting(rows: Iterable[VersionRow], limit: int) -> tuple[tuple[Version, ...], bool]:
    """At most `limit` versions whose manifests fit a page, at least one, and whether more follow."""
    items: list[Version] = []
    page_bytes = 0
    for row in rows:
        page_bytes += len(row[3])
        if len(items) == limit or (items and page_bytes > _MAX_PAGE_BYTES):
            return tuple(items), True
        items.append(version_of(row))
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


def _manifest(data: bytes, digest: str) -> Manifest:
    if digest_of(data) != digest:
        raise IndexCorrupt(
            f"the index holds a manifest that does not have its digest {digest}", digest=digest
        )
    try:
        return _parsed(data)
    except InvalidManifest as error:
        raise IndexCorrupt(
            f"the index holds a broken manifest for {digest}: {error}", digest=digest
        ) from error


@lru_cache(maxsize=512)
def _parsed(data: bytes) -> Manifest:
    """Reads equal bytes once: to parse and check hundreds of modules takes 3 ms, and every request resolves.

    Manifests never change. 512 of an adapter of 210 modules take 40 MB.
    """
    return Manifest.from_bytes(data)
