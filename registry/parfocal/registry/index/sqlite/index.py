"""The index in an SQLite file. Each method is one transaction; rows and statements are beside it."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from parfocal.registry.disk import FolderLock, disk_errors
from parfocal.registry.index import refusals
from parfocal.registry.index.protocol import Slice
from parfocal.registry.index.sqlite import lookups
from parfocal.registry.index.sqlite.changes import apply, next_number
from parfocal.registry.index.sqlite.database import SqliteDatabase
from parfocal.registry.index.sqlite.rows import (
    EVENT_COLUMNS,
    VERSION_COLUMNS,
    event_of,
    fitting,
    moment_in,
    now,
)
from parfocal.registry.values import (
    AdapterSummary,
    Alias,
    AliasMove,
    Event,
    EventKind,
    Version,
    digest_of,
    rollback_target,
)

_ABOVE_ALL = (1 << 63) - 1
_SUMMARIES = """
SELECT a.name, a.created_at,
    coalesce(max(v.version) FILTER (WHERE v.deleted_at IS NULL), 0),
    count(v.version) FILTER (WHERE v.deleted_at IS NULL),
    max(
        coalesce(max(v.created_at), ''),
        coalesce((SELECT max(moved_at) FROM aliases WHERE name = a.name), '')
    )
FROM adapters a LEFT JOIN versions v ON v.name = a.name
WHERE a.name > ? AND a.deleted_at IS NULL GROUP BY a.name ORDER BY a.name LIMIT ?
"""


class SqliteIndex:
    """The index in the file `path`, with its locks beside it; several processes may use it at a time.

    `founding` is asked before a file that is absent or empty becomes an index, and raises where it must not.
    Where nothing can be written now, reads go on. Raises NotARegistry, RegistryTooNew, IndexCorrupt or
    another StorageError.
    """

    def __init__(self, path: Path, founding: Callable[[], None]) -> None:
        self._path = path
        self._lock = FolderLock(path.parent / "lock")
        opening = FolderLock(path.parent / "opening.lock")
        self._database = SqliteDatabase(path, opening.exclusive, founding)

    @property
    def is_writable(self) -> bool:
        """Whether changes can be made now."""
        return self._database.is_writable

    def close(self) -> None:
        """Closes the file, which is then complete by itself; the next use reopens it."""
        self._database.close()

    def moment(self) -> object | None:
        return self._database.moment()

    def version(self, name: str, number: int) -> Version:
        with self._database.read() as connection:
            found = lookups.live_version(connection, name, number)
        return found.checked()

    def latest(self, name: str) -> Version:
        with self._database.read() as connection:
            lookups.require_adapter(connection, name)
            found = lookups.version_where(
                connection, "name = ? AND deleted_at IS NULL ORDER BY version DESC", name
            )
        if found is None:
            raise refusals.no_version_left(name)
        return found.checked()

    def version_with(self, name: str, digest: str) -> Version:
        with self._database.read() as connection:
            lookups.require_adapter(connection, name)
            found = lookups.live_with_digits(connection, name, digest)
        if not found:
            raise refusals.no_digest(digest, name)
        if len(found) > 1:
            raise refusals.many_digests(digest, name)
        return found[0].checked()

    def target(self, name: str, alias: str) -> Version:
        with self._database.read() as connection:
            lookups.require_adapter(connection, name)
            number = lookups.the_alias(connection, name, alias).version
            found = lookups.live_version(connection, name, number)
        return found.checked()

    def find(self, digest: str) -> Version:
        with self._database.read() as connection:
            # A rebuilt index may have no manifest for a deleted version.
            found = lookups.version_where(
                connection,
                "digest = ? AND length(manifest) > 0 ORDER BY deleted_at IS NOT NULL, name, version",
                digest,
            )
        if found is None:
            raise refusals.no_digest(digest)
        return found.checked()

    def is_live(self, digest: str) -> bool:
        return self._exists("SELECT 1 FROM versions WHERE digest = ? AND deleted_at IS NULL", digest)

    def is_known(self, digest: str) -> bool:
        return self._exists("SELECT 1 FROM versions WHERE digest = ?", digest)

    def versions(self, name: str, limit: int, after: str) -> Slice[Version]:
        with self._database.read() as connection:
            lookups.require_adapter(connection, name)
            rows = connection.execute(
                f"SELECT {VERSION_COLUMNS} FROM versions WHERE name = ? AND deleted_at IS NULL"
                " AND version < ? ORDER BY version DESC LIMIT ?",
                (name, _below(after), limit + 1),
            )
            items, more = fitting(rows, limit)
        return Slice(items, str(items[-1].version) if more else "")

    def adapters(self, limit: int, after: str) -> Slice[AdapterSummary]:
        with self._database.read() as connection:
            rows = connection.execute(_SUMMARIES, (after, limit + 1)).fetchall()
            items = tuple(_summary(connection, row) for row in rows[:limit])
        return Slice(items, items[-1].name if len(rows) > limit else "")

    def aliases(self, name: str) -> list[Alias]:
        with self._database.read() as connection:
            lookups.require_adapter(connection, name)
            return lookups.all_aliases(connection, name)

    def moves(self, name: str, alias: str, limit: int, after: str) -> Slice[AliasMove]:
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE name = ? AND alias <> '' AND (alias = ? OR ? = '')"
                " AND sequence < ? ORDER BY sequence DESC LIMIT ?",
                (name, alias, alias, _below(after), limit + 1),
            ).fetchall()
            if not rows and not after:
                lookups.require_adapter(connection, name)
                if alias:
                    raise refusals.no_alias(name, alias)
        moves = tuple(event_of(row).move() for row in rows[:limit])
        return Slice(moves, str(rows[limit - 1][0]) if len(rows) > limit else "")

    def add_version(self, name: str, manifest: bytes) -> Version:
        digest = digest_of(manifest)
        with self._database.write() as connection:
            there = lookups.live_with_digest(connection, name, digest)
            if there is not None:
                # Its own bytes need not be read to be believed.
                return there if there.manifest_bytes == manifest else there.checked()
            number = next_number(connection, name)
            event = Event(0, EventKind.VERSION_PUBLISHED, name, now(), number, digest)
            apply(connection, event, manifest)
            return Version(name, number, digest, manifest, event.happened_at)

    def set_alias(self, name: str, alias: str, version: int, expected: int | None, actor: str) -> Alias:
        with self._database.write() as connection:
            digest = lookups.require_version(connection, name, version)
            actual = lookups.points_at(connection, name, alias)
            refusals.check_points_at(name, alias, expected, actual)
            if not actual:
                refusals.check_room(name, lookups.count_aliases(connection, name))
            if actual != version:
                kind = EventKind.ALIAS_SET
                apply(connection, Event(0, kind, name, now(), version, digest, alias, actual, actor))
            return lookups.the_alias(connection, name, alias)

    def roll_back_alias(self, name: str, alias: str, expected: int, actor: str) -> Alias:
        with self._database.write() as connection:
            lookups.require_adapter(connection, name)
            moves = lookups.past_moves(connection, name, alias)
            if not moves:
                raise refusals.no_alias(name, alias)
            actual = lookups.points_at(connection, name, alias)
            refusals.check_points_at(name, alias, expected, actual)
            live = lookups.live_numbers(connection, name)
            target = rollback_target(moves, live.__contains__)
            if target is None:
                raise refusals.nothing_to_roll_back(name, alias, actual)
            if not actual:
                refusals.check_room(name, lookups.count_aliases(connection, name))
            kind = EventKind.ALIAS_ROLLED_BACK
            apply(connection, Event(0, kind, name, now(), target, live[target], alias, actual, actor))
            return lookups.the_alias(connection, name, alias)

    def delete_alias(self, name: str, alias: str, expected: int | None, actor: str) -> None:
        with self._database.write() as connection:
            lookups.require_adapter(connection, name)
            actual = lookups.points_at(connection, name, alias)
            refusals.check_points_at(name, alias, expected, actual)
            if not actual:
                raise refusals.no_alias(name, alias)
            _delete_alias(connection, name, alias, actual, actor)

    def delete_version(self, name: str, number: int, actor: str) -> None:
        with self._database.write() as connection:
            digest = lookups.require_version(connection, name, number)
            aliases = [a.alias for a in lookups.all_aliases(connection, name) if a.version == number]
            if aliases:
                raise refusals.version_in_use(name, number, aliases)
            _delete_version(connection, name, number, digest, actor)

    def delete_adapter(self, name: str, force: bool, actor: str) -> None:
        with self._database.write() as connection:
            lookups.require_adapter(connection, name)
            aliases = lookups.all_aliases(connection, name)
            if aliases and not force:
                raise refusals.adapter_in_use(name, [alias.alias for alias in aliases])
            for alias in aliases:
                _delete_alias(connection, name, alias.alias, alias.version, actor)
            for number, digest in lookups.live_numbers(connection, name).items():
                _delete_version(connection, name, number, digest, actor)
            apply(connection, Event(0, EventKind.ADAPTER_DELETED, name, now(), actor=actor))

    def manifests(self) -> Iterator[tuple[str, bytes]]:
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT digest, manifest FROM versions WHERE deleted_at IS NULL GROUP BY digest"
            ).fetchall()
        yield from rows

    def events(self, after: int, limit: int) -> list[Event]:
        with self._database.read() as connection:
            rows = connection.execute(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (after, limit),
            ).fetchall()
        return [event_of(row) for row in rows]

    def last_sequence(self) -> int:
        with self._database.read() as connection:
            (last,) = connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()
        return int(last)

    def event(self, sequence: int) -> Event | None:
        found = self.events(sequence - 1, 1)
        return found[0] if found and found[0].sequence == sequence else None

    def restore(self, events: Iterable[Event], manifests: Mapping[str, bytes]) -> None:
        with self._database.write() as connection:
            # Clocks can be set back: what an alias points at may have been recorded after it.
            connection.execute("PRAGMA defer_foreign_keys = ON")
            for event in events:
                apply(connection, event, manifests.get(event.digest, b""))

    def check(self) -> list[str]:
        with self._database.read() as connection:
            rows = connection.execute("PRAGMA integrity_check").fetchall()
        return [text for (text,) in rows if text != "ok"]

    @contextmanager
    def publishing(self) -> Iterator[None]:
        with disk_errors(self._path), self._lock.shared():
            yield

    @contextmanager
    def collecting(self) -> Iterator[None]:
        with disk_errors(self._path), self._lock.exclusive():
            yield

    def _exists(self, statement: str, digest: str) -> bool:
        with self._database.read() as connection:
            return connection.execute(statement, (digest,)).fetchone() is not None


def _delete_alias(connection: sqlite3.Connection, name: str, alias: str, previous: int, actor: str) -> None:
    kind = EventKind.ALIAS_DELETED
    apply(connection, Event(0, kind, name, now(), alias=alias, previous_version=previous, actor=actor))


def _delete_version(connection: sqlite3.Connection, name: str, number: int, digest: str, actor: str) -> None:
    apply(connection, Event(0, EventKind.VERSION_DELETED, name, now(), number, digest, actor=actor))


def _summary(connection: sqlite3.Connection, row: tuple[str, str, int, int, str]) -> AdapterSummary:
    name, created_at, latest, count, updated_at = row
    return AdapterSummary(
        name,
        latest,
        count,
        moment_in(created_at),
        moment_in(updated_at),
        {alias.alias: alias.version for alias in lookups.all_aliases(connection, name)},
    )


def _below(key: str) -> int:
    """The number that a key holds, or one above all of them."""
    return int(key) if key.isdecimal() and len(key) < 19 else _ABOVE_ALL
