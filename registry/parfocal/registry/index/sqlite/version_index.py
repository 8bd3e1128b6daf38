"""Names, version numbers and manifests in the index. Knows neither aliases' history nor files."""

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache

from parfocal.registry.errors import (
    AdapterNotFound,
    IndexCorrupt,
    InvalidManifest,
    VersionInUse,
    VersionNotFound,
)
from parfocal.registry.index.sqlite.database import Database
from parfocal.registry.values import (
    AdapterSummary,
    Manifest,
    Page,
    Version,
    checked_page_size,
    digest_of,
    key_in,
    page_token,
)

_COLUMNS = "name, version, digest, manifest, created_at"
# A page over the wire holds each manifest twice and must stay far below the limit of a message.
_MAX_PAGE_BYTES = 4 << 20
_Row = tuple[str, int, str, bytes, str]


class VersionIndex:
    """Which versions exist. Every change is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, manifest: Manifest) -> Version:
        """Returns the new version, or the live one of this name that has the same digest already.

        Raises sqlite3.Error.
        """
        data = manifest.to_bytes()
        digest = digest_of(data)
        with self._database.write() as connection:
            there = _live_by_digest(connection, name, digest)
            if there is not None:
                return there
            now = now_text()
            connection.execute("INSERT OR IGNORE INTO adapters (name, created_at) VALUES (?, ?)", (name, now))
            [number] = connection.execute(
                _NEXT_NUMBER,
                (name,),
            ).fetchone()
            row: _Row = (name, number, digest, data, now)
            connection.execute(f"INSERT INTO versions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", row)
        return _version(row)

    def get(self, name: str, number: int) -> Version:
        """Returns a live version; raises AdapterNotFound or VersionNotFound."""
        with self._database.read() as connection:
            return live_version(connection, name, number)

    def latest(self, name: str) -> Version:
        """Returns the highest live version; raises AdapterNotFound or VersionNotFound."""
        with self._database.read() as connection:
            require_adapter(connection, name)
            row = connection.execute(_LATEST, (name,)).fetchone()
        if row is None:
            raise VersionNotFound(f"adapter {name!r} has no version left", adapter=name)
        return _version(row)

    def with_digest(self, name: str, digest: str) -> Version:
        """Returns the live version of `name` with this digest; raises AdapterNotFound or VersionNotFound."""
        with self._database.read() as connection:
            require_adapter(connection, name)
            found = _live_by_digest(connection, name, digest)
        if found is None:
            raise VersionNotFound(
                f"adapter {name!r} has no version with digest {digest}", adapter=name, digest=digest
            )
        return found

    def find(self, digest: str) -> Version:
        """Returns a version with this digest under any name, a live one if any; raises VersionNotFound.

        A version that was deleted while it runs can still be loaded again, until its files are collected.
        """
        with self._database.read() as connection:
            row = connection.execute(_FIND, (digest,)).fetchone()
        if row is None:
            raise VersionNotFound(f"no version has digest {digest}", digest=digest)
        return _version(row)

    def is_live(self, digest: str) -> bool:
        """Returns whether any live version has this digest."""
        with self._database.read() as connection:
            row = connection.execute(_FIND_LIVE, (digest,)).fetchone()
        return row is not None

    def page(self, name: str, page_size: int, token: str) -> Page[Version]:
        """Returns live versions, the newest first; raises AdapterNotFound or InvalidPage."""
        size = checked_page_size(page_size)
        listing = f"versions/{name}"
        below = _number(key_in(token, listing))
        with self._database.read() as connection:
            require_adapter(connection, name)
            rows = connection.execute(_PAGE, (name, below, size + 1))
            items, more = _fitting(rows, size)
        return Page(items, page_token(listing, str(items[-1].version)) if more else "")

    def summaries(self, page_size: int, token: str) -> Page[AdapterSummary]:
        """Returns adapters sorted by name; raises InvalidPage."""
        size = checked_page_size(page_size)
        after = key_in(token, "adapters")
        with self._database.read() as connection:
            rows = connection.execute(_SUMMARIES, (after, size + 1)).fetchall()
            items = tuple(_summary(connection, row) for row in rows[:size])
        return Page(items, page_token("adapters", items[-1].name) if len(rows) > size else "")

    def delete(self, name: str, number: int) -> None:
        """Marks a version as deleted; raises VersionInUse while an alias points at it, else as `get`."""
        with self._database.write() as connection:
            live_version(connection, name, number)
            aliases = connection.execute(
                "SELECT alias FROM aliases WHERE name = ? AND version = ? ORDER BY alias", (name, number)
            ).fetchall()
            if aliases:
                held = ", ".join(alias for (alias,) in aliases)
                raise VersionInUse(
                    f"{name}@{number} is what alias {held} points at; move it to another version first",
                    adapter=name,
                    version=str(number),
                    aliases=held,
                )
            connection.execute(
                "UPDATE versions SET deleted_at = ? WHERE name = ? AND version = ?",
                (now_text(), name, number),
            )

    def live_manifests(self) -> Iterator[tuple[str, Manifest]]:
        """Yields digest and manifest of every live version; raises IndexCorrupt."""
        with self._database.read() as connection:
            rows = connection.execute(_LIVE_MANIFESTS).fetchall()
        for digest, data in rows:
            yield digest, _manifest(data, digest)


_NEXT_NUMBER = "UPDATE adapters SET next_version = next_version + 1 WHERE name = ? RETURNING next_version - 1"
_LIVE_MANIFESTS = "SELECT DISTINCT digest, manifest FROM versions WHERE deleted_at IS NULL"
_ALIASES = "SELECT alias, version FROM aliases WHERE name = ? ORDER BY alias"
_LATEST = f"""
SELECT {_COLUMNS} FROM versions WHERE name = ? AND deleted_at IS NULL ORDER BY version DESC LIMIT 1
"""
_FIND = f"""
SELECT {_COLUMNS} FROM versions WHERE digest = ? ORDER BY deleted_at IS NOT NULL, name, version LIMIT 1
"""
_FIND_LIVE = "SELECT 1 FROM versions WHERE digest = ? AND deleted_at IS NULL"
_PAGE = f"""
SELECT {_COLUMNS} FROM versions WHERE name = ? AND deleted_at IS NULL AND version < ?
ORDER BY version DESC LIMIT ?
"""
_SUMMARIES = """
SELECT a.name, a.created_at,
    coalesce(max(v.version) FILTER (WHERE v.deleted_at IS NULL), 0),
    count(v.version) FILTER (WHERE v.deleted_at IS NULL),
    max(
        coalesce(max(v.created_at), ''),
        coalesce((SELECT max(moved_at) FROM aliases WHERE name = a.name), '')
    )
FROM adapters a LEFT JOIN versions v ON v.name = a.name
WHERE a.name > ? GROUP BY a.name ORDER BY a.name LIMIT ?
"""


def now_text() -> str:
    """Returns this moment as the index writes it: UTC with microseconds, so that text sorts by time."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def require_adapter(connection: sqlite3.Connection, name: str) -> None:
    """Raises AdapterNotFound unless something was ever published under `name`."""
    if connection.execute("SELECT 1 FROM adapters WHERE name = ?", (name,)).fetchone() is None:
        raise AdapterNotFound(
            f"no adapter is named {name!r}; parfocal ls shows those that exist", adapter=name
        )


def live_version(connection: sqlite3.Connection, name: str, number: int) -> Version:
    """Returns a live version; raises AdapterNotFound or VersionNotFound."""
    require_adapter(connection, name)
    row = connection.execute(
        f"SELECT {_COLUMNS}, deleted_at FROM versions WHERE name = ? AND version = ?", (name, number)
    ).fetchone()
    if row is None or row[-1] is not None:
        what = "was deleted" if row else "does not exist"
        raise VersionNotFound(
            f"version {number} of adapter {name!r} {what}", adapter=name, version=str(number)
        )
    return _version(row[:-1])


def _live_by_digest(connection: sqlite3.Connection, name: str, digest: str) -> Version | None:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM versions WHERE name = ? AND digest = ? AND deleted_at IS NULL",
        (name, digest),
    ).fetchone()
    return None if row is None else _version(row)


def _version(row: _Row) -> Version:
    name, number, digest, data, created_at = row
    return Version(name, number, digest, _manifest(data, digest), datetime.fromisoformat(created_at))


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


def _summary(connection: sqlite3.Connection, row: tuple[str, str, int, int, str]) -> AdapterSummary:
    name, created_at, latest, count, updated_at = row
    aliases = connection.execute(_ALIASES, (name,)).fetchall()
    return AdapterSummary(
        name,
        latest,
        count,
        datetime.fromisoformat(created_at),
        datetime.fromisoformat(updated_at),
        dict(aliases),
    )


def _fitting(rows: Iterable[_Row], size: int) -> tuple[tuple[Version, ...], bool]:
    """Returns at most `size` versions whose manifests fit a page, at least one, and whether more follow."""
    items: list[Version] = []
    page_bytes = 0
    for row in rows:
        page_bytes += len(row[3])
        if len(items) == size or (items and page_bytes > _MAX_PAGE_BYTES):
            return tuple(items), True
        items.append(_version(row))
    return tuple(items), False


def _number(key: str) -> int:
    """Returns the version number that a page token holds, or one above all of them."""
    return int(key) if key.isdecimal() and len(key) < 19 else (1 << 63) - 1
