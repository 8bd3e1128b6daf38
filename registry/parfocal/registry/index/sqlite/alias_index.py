"""Aliases and their history in the index. Moves are compare-and-swap; the history only grows."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from parfocal.registry.errors import AliasMoved, AliasNotFound, NothingToRollBack
from parfocal.registry.index.sqlite.database import Database
from parfocal.registry.index.sqlite.version_index import live_version, now_text, require_adapter
from parfocal.registry.values import Alias, AliasMove, MoveKind, Version, rollback_target

_ALIASES = """
SELECT a.name, a.alias, a.version, v.digest, a.actor, a.moved_at
FROM aliases a JOIN versions v ON v.name = a.name AND v.version = a.version
"""
_MOVES = """
SELECT m.name, m.alias, m.previous_version, m.version, v.digest, m.kind, m.actor, m.moved_at
FROM alias_moves m JOIN versions v ON v.name = m.name AND v.version = m.version
WHERE m.name = ? AND m.alias = ? ORDER BY m.id DESC
"""


@dataclass(frozen=True, slots=True)
class _Move:
    name: str
    alias: str
    version: int
    kind: MoveKind
    actor: str


class AliasIndex:
    """Which alias points where, and where it pointed before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str, alias: str) -> Alias:
        """Returns an alias; raises AdapterNotFound or AliasNotFound."""
        with self._database.read() as connection:
            require_adapter(connection, name)
            return _alias(connection, name, alias)

    def target(self, name: str, alias: str) -> Version:
        """Returns the version that an alias points at; raises AdapterNotFound or AliasNotFound."""
        with self._database.read() as connection:
            require_adapter(connection, name)
            return live_version(connection, name, _alias(connection, name, alias).version)

    def all_of(self, name: str) -> list[Alias]:
        """Returns the aliases of an adapter, sorted; raises AdapterNotFound."""
        with self._database.read() as connection:
            require_adapter(connection, name)
            rows = connection.execute(f"{_ALIASES} WHERE a.name = ? ORDER BY a.alias", (name,)).fetchall()
        return [_as_alias(row) for row in rows]

    def history(self, name: str, alias: str) -> list[AliasMove]:
        """Returns every move of an alias, the newest first; raises AdapterNotFound or AliasNotFound."""
        with self._database.read() as connection:
            require_adapter(connection, name)
            _alias(connection, name, alias)
            rows = connection.execute(_MOVES, (name, alias)).fetchall()
        return [_as_move(row) for row in rows]

    def set(self, name: str, alias: str, version: int, expected: int | None, actor: str) -> Alias:
        """Points an alias at a live version; pointing it where it points already records nothing.

        `expected` is the version that it must point at now, 0 for none, None for no check. Raises AliasMoved,
        AdapterNotFound or VersionNotFound.
        """
        with self._database.write() as connection:
            live_version(connection, name, version)
            actual = _points_at(connection, name, alias)
            if expected is not None and expected != actual:
                raise _moved(name, alias, expected, actual)
            if actual != version:
                _record(connection, _Move(name, alias, version, MoveKind.SET, actor), actual)
            return _alias(connection, name, alias)

    def roll_back(self, name: str, alias: str, actor: str) -> Alias:
        """Points an alias back where `rollback_target` says; raises AliasNotFound or NothingToRollBack."""
        with self._database.write() as connection:
            require_adapter(connection, name)
            actual = _alias(connection, name, alias).version
            target = rollback_target(_moves(connection, name, alias), _live(connection, name).__contains__)
            if target is None:
                raise NothingToRollBack(
                    f"alias {alias!r} of {name!r} has no earlier version that still exists",
                    adapter=name, alias=alias, version=str(actual),
                )  # fmt: skip
            _record(connection, _Move(name, alias, target, MoveKind.ROLLBACK, actor), actual)
            return _alias(connection, name, alias)


def _record(connection: sqlite3.Connection, move: _Move, previous: int) -> None:
    now = now_text()
    connection.execute(
        "INSERT INTO aliases (name, alias, version, actor, moved_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version, actor = excluded.actor,"
        " moved_at = excluded.moved_at",
        (move.name, move.alias, move.version, move.actor, now),
    )
    connection.execute(
        "INSERT INTO alias_moves (name, alias, previous_version, version, kind, actor, moved_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (move.name, move.alias, previous, move.version, move.kind.value, move.actor, now),
    )


def _alias(connection: sqlite3.Connection, name: str, alias: str) -> Alias:
    row = connection.execute(f"{_ALIASES} WHERE a.name = ? AND a.alias = ?", (name, alias)).fetchone()
    if row is None:
        raise AliasNotFound(f"adapter {name!r} has no alias {alias!r}", adapter=name, alias=alias)
    return _as_alias(row)


def _as_alias(row: tuple[str, str, int, str, str, str]) -> Alias:
    name, alias, version, digest, actor, moved_at = row
    return Alias(name, alias, version, digest, actor, datetime.fromisoformat(moved_at))


def _as_move(row: tuple[str, str, int, int, str, str, str, str]) -> AliasMove:
    name, alias, previous, version, digest, kind, actor, moved_at = row
    return AliasMove(
        name, alias, previous, version, digest, MoveKind(kind), actor, datetime.fromisoformat(moved_at)
    )


def _points_at(connection: sqlite3.Connection, name: str, alias: str) -> int:
    row = connection.execute(
        "SELECT version FROM aliases WHERE name = ? AND alias = ?", (name, alias)
    ).fetchone()
    return 0 if row is None else int(row[0])


def _moves(connection: sqlite3.Connection, name: str, alias: str) -> list[tuple[MoveKind, int]]:
    rows = connection.execute(
        "SELECT kind, version FROM alias_moves WHERE name = ? AND alias = ? ORDER BY id", (name, alias)
    ).fetchall()
    return [(MoveKind(kind), version) for kind, version in rows]


def _live(connection: sqlite3.Connection, name: str) -> set[int]:
    rows = connection.execute(
        "SELECT version FROM versions WHERE name = ? AND deleted_at IS NULL", (name,)
    ).fetchall()
    return {version for (version,) in rows}


def _moved(name: str, alias: str, expected: int, actual: int) -> AliasMoved:
    was = f"points at version {actual}" if actual else "does not exist"
    wanted = f"version {expected}" if expected else "no such alias"
    return AliasMoved(
        f"alias {alias!r} of {name!r} {was}, expected {wanted}; look again and retry",
        adapter=name, alias=alias, expected=str(expected), actual=str(actual),
    )  # fmt: skip
