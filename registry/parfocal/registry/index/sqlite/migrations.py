"""The index's schema, as numbered steps. A step that was released is never edited; changes are new steps."""

# size: steps are added, and never edited

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from parfocal.registry.index.sql import SEALED_COLUMNS, UNSEALED_COLUMNS, Facts, note, noted, sealed_rows

Step: TypeAlias = str | Callable[[sqlite3.Connection], None]

# "PFRG": tells a registry's index from any other SQLite file.
APPLICATION_ID = 0x50465247

_FIRST = """
CREATE TABLE adapters (
    name TEXT PRIMARY KEY,
    next_version INTEGER NOT NULL DEFAULT 1 CHECK (next_version > 0),
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
    name TEXT NOT NULL REFERENCES adapters (name),
    version INTEGER NOT NULL CHECK (version > 0),
    digest TEXT NOT NULL,
    manifest BLOB NOT NULL,
    created_at TEXT NOT NULL,
    deleted_at TEXT,
    PRIMARY KEY (name, version)
) STRICT;

CREATE UNIQUE INDEX live_versions_by_digest ON versions (name, digest) WHERE deleted_at IS NULL;
CREATE INDEX versions_by_digest ON versions (digest);

CREATE TABLE aliases (
    name TEXT NOT NULL,
    alias TEXT NOT NULL,
    version INTEGER NOT NULL,
    actor TEXT NOT NULL,
    moved_at TEXT NOT NULL,
    PRIMARY KEY (name, alias),
    FOREIGN KEY (name, version) REFERENCES versions (name, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE alias_moves (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    alias TEXT NOT NULL,
    previous_version INTEGER NOT NULL,
    version INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('set', 'rollback')),
    actor TEXT NOT NULL,
    moved_at TEXT NOT NULL,
    FOREIGN KEY (name, version) REFERENCES versions (name, version)
) STRICT;

CREATE INDEX alias_moves_by_alias ON alias_moves (name, alias, id);

CREATE TRIGGER alias_moves_are_not_changed BEFORE UPDATE ON alias_moves
BEGIN SELECT RAISE(ABORT, 'the history of aliases is append-only'); END;

CREATE TRIGGER alias_moves_are_not_removed BEFORE DELETE ON alias_moves
BEGIN SELECT RAISE(ABORT, 'the history of aliases is append-only'); END;

CREATE TRIGGER versions_are_not_removed BEFORE DELETE ON versions
BEGIN SELECT RAISE(ABORT, 'a version is marked as deleted, so that its number is never used again'); END;

CREATE TRIGGER versions_are_not_changed BEFORE UPDATE ON versions
WHEN old.deleted_at IS NOT NULL OR new.deleted_at IS NULL
    OR new.name IS NOT old.name OR new.version IS NOT old.version OR new.digest IS NOT old.digest
    OR new.manifest IS NOT old.manifest OR new.created_at IS NOT old.created_at
BEGIN SELECT RAISE(ABORT, 'a version never changes'); END;

CREATE TRIGGER version_numbers_only_rise BEFORE UPDATE OF next_version ON adapters
WHEN new.next_version <= old.next_version
BEGIN SELECT RAISE(ABORT, 'a version number is never used again'); END;
"""

# Everything that happens is an event; the history of aliases becomes part of it. Clocks are set back at
# times: the order of what happened to one thing is that of its numbers, so keys are made to rise with these.
_EVENTS = """
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN (
        'version_published', 'version_deleted', 'alias_set', 'alias_rolled_back', 'alias_deleted',
        'adapter_deleted'
    )),
    name TEXT NOT NULL,
    happened_at TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    alias TEXT NOT NULL,
    previous_version INTEGER NOT NULL,
    actor TEXT NOT NULL
) STRICT;

INSERT INTO events (kind, name, happened_at, version, digest, alias, previous_version, actor)
SELECT kind, name, happened_at, version, digest, alias, previous_version, actor FROM (
    SELECT 'version_published' AS kind, name, created_at AS happened_at, version, digest, '' AS alias,
        0 AS previous_version, '' AS actor, 0 AS rank, version AS number,
        max(created_at) OVER (PARTITION BY name ORDER BY version) AS key
    FROM versions
    UNION ALL
    SELECT CASE m.kind WHEN 'set' THEN 'alias_set' ELSE 'alias_rolled_back' END, m.name, m.moved_at,
        m.version, v.digest, m.alias, m.previous_version, m.actor, 1, m.id,
        max(m.moved_at) OVER (ORDER BY m.id)
    FROM alias_moves m JOIN versions v ON v.name = m.name AND v.version = m.version
    UNION ALL
    SELECT 'version_deleted', name, deleted_at, version, digest, '', 0, '', 2, version,
        max(deleted_at, (
            SELECT max(earlier.created_at) FROM versions earlier
            WHERE earlier.name = versions.name AND earlier.version <= versions.version
        ))
    FROM versions WHERE deleted_at IS NOT NULL
) ORDER BY key, rank, name, number;

CREATE INDEX events_by_alias ON events (name, alias, sequence) WHERE alias <> '';

CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;

CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;

DROP TABLE alias_moves;

ALTER TABLE adapters ADD COLUMN deleted_at TEXT;
"""

# What is kept from collection for a while, and for whom.
_LEASES = """
CREATE TABLE leases (
    digest TEXT NOT NULL,
    owner TEXT NOT NULL,
    ends_at TEXT NOT NULL,
    PRIMARY KEY (digest, owner)
) STRICT, WITHOUT ROWID;
"""

# Each event is sealed with the hash of the one before. An earlier Parfocal that is still running cannot add
# one without: its transaction fails.
_SEALED = """
CREATE TABLE sealed_events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN (
        'version_published', 'version_deleted', 'alias_set', 'alias_rolled_back', 'alias_deleted',
        'adapter_deleted'
    )),
    name TEXT NOT NULL,
    happened_at TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    alias TEXT NOT NULL,
    previous_version INTEGER NOT NULL,
    actor TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT
"""
_UNCHANGED = """
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END
"""
_UNREMOVED = """
CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END
"""


def _seal(connection: sqlite3.Connection) -> None:
    """Gives every event its hash; raises sqlite3.Error, or IndexCorrupt where one cannot be read."""
    connection.execute(_SEALED)
    rows = connection.execute(f"SELECT {UNSEALED_COLUMNS} FROM events ORDER BY sequence")
    places = ", ".join("?" * len(SEALED_COLUMNS.split(", ")))
    connection.executemany(
        f"INSERT INTO sealed_events ({SEALED_COLUMNS}) VALUES ({places})", sealed_rows(rows)
    )
    connection.execute("DROP TABLE events")
    connection.execute("ALTER TABLE sealed_events RENAME TO events")
    connection.execute("CREATE INDEX events_by_alias ON events (name, alias, sequence) WHERE alias <> ''")
    connection.execute(_UNCHANGED)
    connection.execute(_UNREMOVED)


# What lists are filtered by, so that no manifest is read for it; it follows from the versions.
_FACTS = """
CREATE TABLE facts (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    base TEXT NOT NULL,
    parent TEXT NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID
"""


def _note_facts(connection: sqlite3.Connection) -> None:
    """Notes what lists are filtered by; raises sqlite3.Error."""
    connection.execute(_FACTS)
    rows = connection.execute("SELECT name, version, manifest FROM versions")
    connection.executemany(
        "INSERT INTO facts (name, version, base, parent, actor) VALUES (?, ?, ?, ?, '')",
        ((name, version, facts.base, facts.parent) for name, version, facts in _facts(rows)),
    )


def _facts(rows: Iterable[tuple[str, int, bytes]]) -> Iterator[tuple[str, int, Facts]]:
    return ((name, version, Facts.of(name, manifest)) for name, version, manifest in rows)


# What gates aliases carry, and what they found. An earlier Parfocal that is still running, which would move
# an alias past its gate, cannot add an event: its transaction fails.
_GATES = """
CREATE TABLE gated_events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN (
        'version_published', 'version_deleted', 'alias_set', 'alias_rolled_back', 'alias_deleted',
        'adapter_deleted', 'gate_set', 'gate_cleared'
    )),
    name TEXT NOT NULL,
    happened_at TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    alias TEXT NOT NULL,
    previous_version INTEGER NOT NULL,
    actor TEXT NOT NULL,
    hash TEXT NOT NULL,
    gate TEXT NOT NULL
) STRICT;

INSERT INTO gated_events
SELECT sequence, kind, name, happened_at, version, digest, alias, previous_version, actor, hash, ''
FROM events ORDER BY sequence;

DROP TABLE events;
ALTER TABLE gated_events RENAME TO events;
CREATE INDEX events_by_alias ON events (name, alias, sequence) WHERE alias <> '';
CREATE INDEX events_of_gates ON events (name, alias, sequence) WHERE kind IN ('gate_set', 'gate_cleared');

CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;

CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
"""

# What lists are filtered by, of live versions only, with an index for each way in which names are found.
_FOUND_BY = """
ALTER TABLE facts RENAME TO old_facts;

CREATE TABLE facts (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    base TEXT NOT NULL,
    parent TEXT NOT NULL,
    actor TEXT NOT NULL,
    published TEXT NOT NULL,
    words TEXT NOT NULL,
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX facts_by_base ON facts (base, name, version);
CREATE INDEX facts_by_parent ON facts (parent, name, version);

CREATE TABLE version_metrics (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    metric TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (name, version, metric)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_by_metric ON version_metrics (metric, name, version, value);

CREATE TABLE version_tags (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (name, version, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_by_tag ON version_tags (tag, name, version);
"""


def _note_what_is_searched(connection: sqlite3.Connection) -> None:
    """Notes it of every live version; raises sqlite3.Error."""
    for statement in _FOUND_BY.split(";"):
        connection.execute(statement)
    rows = connection.execute(
        "SELECT v.name, v.version, v.manifest, v.created_at, coalesce(f.actor, '') FROM versions v"
        " LEFT JOIN old_facts f ON f.name = v.name AND f.version = v.version WHERE v.deleted_at IS NULL"
    )
    for name, version, manifest, published, actor in rows:
        note(connection, (name, version), Facts.of(name, manifest), actor, published)
    connection.execute("DROP TABLE old_facts")


# The signatures of versions.
_SIGNATURES = """
CREATE TABLE signatures (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    bundle BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    actor TEXT NOT NULL,
    added_at TEXT NOT NULL,
    PRIMARY KEY (name, version, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE signed_events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN (
        'version_published', 'version_deleted', 'alias_set', 'alias_rolled_back', 'alias_deleted',
        'adapter_deleted', 'gate_set', 'gate_cleared', 'version_signed'
    )),
    name TEXT NOT NULL,
    happened_at TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    alias TEXT NOT NULL,
    previous_version INTEGER NOT NULL,
    actor TEXT NOT NULL,
    hash TEXT NOT NULL,
    gate TEXT NOT NULL
) STRICT;

INSERT INTO signed_events
SELECT sequence, kind, name, happened_at, version, digest, alias, previous_version, actor, hash, gate
FROM events ORDER BY sequence;

DROP TABLE events;
ALTER TABLE signed_events RENAME TO events;
CREATE INDEX events_by_alias ON events (name, alias, sequence) WHERE alias <> '';
CREATE INDEX events_of_gates ON events (name, alias, sequence) WHERE kind IN ('gate_set', 'gate_cleared');

CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;

CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;
"""

# Second versions of aliases, how they began and ended. An earlier Parfocal that is still running cannot add
# an event: its transaction fails.
_CANARIES = """
CREATE TABLE canary_events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN (
        'version_published', 'version_deleted', 'alias_set', 'alias_rolled_back', 'alias_deleted',
        'adapter_deleted', 'gate_set', 'gate_cleared', 'version_signed', 'canary_set',
        'canary_aborted'
    )),
    name TEXT NOT NULL,
    happened_at TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    alias TEXT NOT NULL,
    previous_version INTEGER NOT NULL,
    actor TEXT NOT NULL,
    hash TEXT NOT NULL,
    gate TEXT NOT NULL,
    canary TEXT NOT NULL
) STRICT;

INSERT INTO canary_events
SELECT sequence, kind, name, happened_at, version, digest, alias, previous_version, actor, hash, gate, ''
FROM events ORDER BY sequence;

DROP TABLE events;
ALTER TABLE canary_events RENAME TO events;
CREATE INDEX events_by_alias ON events (name, alias, sequence) WHERE alias <> '';
CREATE INDEX events_of_gates ON events (name, alias, sequence) WHERE kind IN ('gate_set', 'gate_cleared');

CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;

CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the history is append-only'); END;

ALTER TABLE aliases ADD COLUMN canary INTEGER NOT NULL DEFAULT 0;
"""

# An adapter's moves in their order, without sorting all of them for each page.
_MOVES_IN_ORDER = """
CREATE INDEX events_by_name ON events (name, sequence) WHERE alias <> '';
"""

# Which files live versions have, so that a namespace can be held to its quota without reading a manifest.
_FILES = """
CREATE TABLE version_files (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (name, version, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX version_files_by_digest ON version_files (digest, name)
"""


def _note_files(connection: sqlite3.Connection) -> None:
    """Notes the files of every live version; raises sqlite3.Error."""
    for statement in _FILES.split(";"):
        connection.execute(statement)
    rows = connection.execute("SELECT name, version, manifest FROM versions WHERE deleted_at IS NULL")
    connection.executemany(
        "INSERT INTO version_files (name, version, digest, size) VALUES (?, ?, ?, ?)", noted(rows)
    )


MIGRATIONS: tuple[Step, ...] = (
    _FIRST, _EVENTS, _LEASES, _seal, _note_facts, _GATES, _note_what_is_searched, _SIGNATURES,
    _CANARIES, _MOVES_IN_ORDER, _note_files,
)  # fmt: skip


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the schema to the newest step, each step whole or not at all; raises sqlite3.Error."""
    for number in range(schema_version(connection), len(MIGRATIONS)):
        step = MIGRATIONS[number]
        signed = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number + 1};"
        try:
            if isinstance(step, str):
                connection.executescript(f"BEGIN IMMEDIATE; {step} {signed} COMMIT;")
            else:
                connection.execute("BEGIN IMMEDIATE")
                step(connection)
                connection.execute(f"PRAGMA user_version = {number + 1}")
                connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def schema_version(connection: sqlite3.Connection) -> int:
    """How many steps the schema has taken."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
