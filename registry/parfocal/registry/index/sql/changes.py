"""Changes of the index: records each event and applies it, inside an open transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from parfocal.registry.index.sql.facts import Facts, forget, note
from parfocal.registry.index.sql.rows import EVENT_COLUMNS, moment_text
from parfocal.registry.index.sql.session import Session
from parfocal.registry.index.sql.usage import forget_files, note_files
from parfocal.registry.values import Event, EventKind


def apply(session: Session, event: Event, manifest: bytes = b"") -> None:
    """Records an event, under its own number or the next one if that is 0, and does what it says.

    No other transaction writes meanwhile: numbers have no gaps, and are seen in their order; each event is
    sealed with the hash of the one before.

    `manifest` is that of a version that is published, or the signature of one that is signed.
    """
    _apply(session, event, manifest, _last(session))


def _apply(session: Session, event: Event, manifest: bytes, last: tuple[int, str]) -> tuple[int, str]:
    """Applies an event after the one with this number and hash; returns its own."""
    when = moment_text(event.happened_at)
    number, previous = last
    numbered = replace(event, sequence=event.sequence or number + 1)
    sealed = numbered.hash_after(previous)
    session.execute(
        f"INSERT INTO events ({EVENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            numbered.sequence,
            event.kind.value,
            event.name,
            when,
            event.version,
            event.digest,
            event.alias,
            event.previous_version,
            event.actor,
            sealed,
            event.gate,
            event.canary,
        ),
    )
    match event.kind:
        case EventKind.VERSION_PUBLISHED:
            _publish(session, event, when, manifest)
        case EventKind.VERSION_DELETED:
            session.execute(
                "UPDATE versions SET deleted_at = ? WHERE name = ? AND version = ?",
                (when, event.name, event.version),
            )
            forget(session, event.name, event.version)
            forget_files(session, event.name, event.version)
        case EventKind.ALIAS_SET | EventKind.ALIAS_ROLLED_BACK:
            session.execute(
                "INSERT INTO aliases (name, alias, version, actor, moved_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version,"
                " actor = excluded.actor, moved_at = excluded.moved_at, canary = 0",
                (event.name, event.alias, event.version, event.actor, when),
            )
        case EventKind.CANARY_SET:
            _canary(session, event, numbered.sequence)
        case EventKind.CANARY_ABORTED:
            _canary(session, event, 0)
        case EventKind.ALIAS_DELETED:
            session.execute("DELETE FROM aliases WHERE name = ? AND alias = ?", (event.name, event.alias))
        case EventKind.VERSION_SIGNED:
            session.execute(
                "INSERT INTO signatures (name, version, digest, bundle, sequence, actor, added_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name, version, digest) DO NOTHING",
                (event.name, event.version, event.digest, manifest, numbered.sequence, event.actor, when),
            )
        case EventKind.ADAPTER_DELETED:
            session.execute("UPDATE adapters SET deleted_at = ? WHERE name = ?", (when, event.name))
    return numbered.sequence, sealed


def _canary(session: Session, event: Event, number: int) -> None:
    session.execute(
        "UPDATE aliases SET canary = ? WHERE name = ? AND alias = ?", (number, event.name, event.alias)
    )


def restore(session: Session, events: Iterable[Event], manifests: Mapping[str, bytes]) -> None:
    """Fills an index that has no event; `manifests` are bytes by digest, as `Index.restore` says.

    Asks nothing of the database, so that a driver need not wait for each statement.
    """
    last = (0, "")
    for event in events:
        last = _apply(session, event, manifests.get(event.digest, b""), last)


def next_number(session: Session, name: str) -> int:
    """The number of an adapter's next version."""
    row = session.execute("SELECT next_version FROM adapters WHERE name = ?", (name,)).fetchone()
    return 1 if row is None else int(row[0])


def last_sequence(session: Session) -> int:
    """The number of the last event, 0 where there is none."""
    return int(session.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()[0])


def _last(session: Session) -> tuple[int, str]:
    """The number and the hash of the last event, 0 and an empty text where there is none."""
    row = session.execute("SELECT sequence, hash FROM events ORDER BY sequence DESC LIMIT 1").fetchone()
    return (0, "") if row is None else (int(row[0]), str(row[1]))


def _publish(session: Session, event: Event, when: str, manifest: bytes) -> None:
    session.execute(
        "INSERT INTO adapters (name, created_at) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET deleted_at = NULL",
        (event.name, when),
    )
    # In a history that is restored, a lost number may come after a higher one.
    session.execute(
        "UPDATE adapters SET next_version = ? WHERE name = ? AND next_version <= ?",
        (event.version + 1, event.name, event.version),
    )
    session.execute(
        "INSERT INTO versions (name, version, digest, manifest, created_at) VALUES (?, ?, ?, ?, ?)",
        (event.name, event.version, event.digest, manifest, when),
    )
    note(session, (event.name, event.version), Facts.of(event.name, manifest), event.actor, when)
    note_files(session, event.name, event.version, manifest)
