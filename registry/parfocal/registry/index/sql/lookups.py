"""Look-ups inside an open transaction. They read no manifest: who holds a connection holds up all others."""

from collections.abc import Iterator, Sequence
from typing import Any

from parfocal.registry.index import refusals
from parfocal.registry.index.sql.rows import (
    EVENT_COLUMNS,
    GATES,
    POINTINGS,
    VERSION_COLUMNS,
    alias_of,
    event_of,
    listed,
)
from parfocal.registry.index.sql.session import Session
from parfocal.registry.values import MOVE_KINDS, Alias, Event, EventKind, MoveKind, Version

ABOVE_ALL = (1 << 63) - 1
_MOVES_AT_ONCE = 100
ALIASES = """
SELECT a.name, a.alias, a.version, v.digest, a.actor, a.moved_at, c.sequence, c.actor, c.happened_at, c.canary
FROM aliases a JOIN versions v ON v.name = a.name AND v.version = a.version
LEFT JOIN events c ON c.sequence = a.canary
"""


def require_adapter(session: Session, name: str) -> None:
    """Raises AdapterNotFound unless something was published under `name` and not deleted as a whole."""
    row = session.execute("SELECT deleted_at FROM adapters WHERE name = ?", (name,)).fetchone()
    if row is None or row[0] is not None:
        raise refusals.no_adapter(name, was_deleted=row is not None)


def require_version(session: Session, name: str, number: int) -> str:
    """The digest of a live version; raises AdapterNotFound or VersionNotFound."""
    require_adapter(session, name)
    row = session.execute(
        "SELECT digest, deleted_at FROM versions WHERE name = ? AND version = ?", (name, number)
    ).fetchone()
    if row is None or row[1] is not None:
        raise refusals.no_version(name, number, was_deleted=row is not None)
    return str(row[0])


def live_version(session: Session, name: str, number: int) -> Version:
    """A live version; raises AdapterNotFound or VersionNotFound."""
    require_version(session, name, number)
    found = version_where(session, "name = ? AND version = ?", name, number)
    assert found is not None
    return found


def live_with_digest(session: Session, name: str, digest: str) -> Version | None:
    """The live version of `name` with this digest, if there is one."""
    row = session.execute(
        f"SELECT {VERSION_COLUMNS} FROM versions"
        " WHERE name = ? AND digest = ? AND deleted_at IS NULL LIMIT 1",
        (name, digest),
    ).fetchone()
    return None if row is None else listed(row)


def live_with_digits(session: Session, name: str, digits: str) -> list[Version]:
    """At most two live versions of `name` whose digests begin with these digits."""
    rows = session.execute(
        f"SELECT {VERSION_COLUMNS} FROM versions "
        "WHERE name = ? AND substr(digest, 1, ?) = ? AND deleted_at IS NULL LIMIT 2",
        (name, len(digits), digits),
    )
    return [listed(row) for row in rows]


def version_where(session: Session, condition: str, *values: object) -> Version | None:
    """The first version that meets an SQL condition (and order), if there is one."""
    row = session.execute(
        f"SELECT {VERSION_COLUMNS} FROM versions WHERE {condition} LIMIT 1", values
    ).fetchone()
    return None if row is None else listed(row)


def live_numbers(session: Session, name: str) -> dict[int, str]:
    """Number and digest of every live version of an adapter."""
    return dict(
        session.execute(
            "SELECT version, digest FROM versions WHERE name = ? AND deleted_at IS NULL ORDER BY version",
            (name,),
        )
    )


def the_alias(session: Session, name: str, alias: str) -> Alias:
    """An alias; raises AliasNotFound."""
    found = alias_or_none(session, name, alias)
    if found is None:
        raise refusals.no_alias(name, alias)
    return found


def all_aliases(session: Session, name: str) -> list[Alias]:
    """The aliases of an adapter, sorted."""
    rows: list[Any] = session.execute(f"{ALIASES} WHERE a.name = ? ORDER BY a.alias", (name,)).fetchall()
    return [alias_of(row) for row in rows]


def alias_or_none(session: Session, name: str, alias: str) -> Alias | None:
    """An alias, if there is one."""
    row = session.execute(f"{ALIASES} WHERE a.name = ? AND a.alias = ?", (name, alias)).fetchone()
    return None if row is None else alias_of(row)


def aliases_of(session: Session, names: Sequence[str]) -> dict[str, list[Alias]]:
    """The aliases of each of these adapters that has any, sorted."""
    places = ", ".join("?" * len(names)) or "NULL"
    rows: list[Any] = session.execute(
        f"{ALIASES} WHERE a.name IN ({places}) ORDER BY a.name, a.alias", names
    ).fetchall()
    found: dict[str, list[Alias]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(alias_of(row))
    return found


def count_aliases(session: Session, name: str) -> int:
    """How many aliases an adapter has."""
    return int(session.execute("SELECT count(*) FROM aliases WHERE name = ?", (name,)).fetchone()[0])


def past_moves(session: Session, name: str, alias: str) -> Iterator[tuple[MoveKind, int]]:
    """How an alias was pointed elsewhere and to which version, newest first, as many as are asked for."""
    below = ABOVE_ALL
    while True:
        rows = session.execute(
            # An index of moves is found only where the statement says that there is an alias.
            "SELECT sequence, kind, version FROM events WHERE name = ? AND alias = ? AND alias <> ''"
            f" AND {POINTINGS} AND sequence < ? ORDER BY sequence DESC LIMIT ?",
            (name, alias, below, _MOVES_AT_ONCE),
        ).fetchall()
        yield from ((MOVE_KINDS[EventKind(kind)], version) for _, kind, version in rows)
        if len(rows) < _MOVES_AT_ONCE:
            return
        below = rows[-1][0]


def gate_of(session: Session, name: str, alias: str) -> Event | None:
    """The event that set the gate which an alias carries now; None where it carries none."""
    row = session.execute(
        f"SELECT {EVENT_COLUMNS} FROM events WHERE name = ? AND alias = ? AND {GATES}"
        " ORDER BY sequence DESC LIMIT 1",
        (name, alias),
    ).fetchone()
    event = None if row is None else event_of(row)
    return None if event is None or event.kind is EventKind.GATE_CLEARED else event


def all_gates(session: Session, name: str) -> list[Event]:
    """The events that set the gates which an adapter's aliases carry now, by alias."""
    rows = session.execute(
        f"SELECT DISTINCT alias FROM events WHERE name = ? AND {GATES} ORDER BY alias", (name,)
    ).fetchall()
    found = (gate_of(session, name, alias) for (alias,) in rows)
    return [event for event in found if event is not None]
