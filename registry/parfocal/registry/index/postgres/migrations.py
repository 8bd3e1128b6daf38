"""The index's schema, as numbered steps. A step that was released is never edited; changes are new steps."""

from collections.abc import Callable, Sequence
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg import sql

from parfocal.registry.index.sql import UNSEALED_COLUMNS, Facts, note, noted, sealed_rows

Step: TypeAlias = LiteralString | Callable[[psycopg.Connection[Any]], None]

_FIRST: LiteralString = """
CREATE TABLE registry (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    schema_version INTEGER NOT NULL,
    identity UUID NOT NULL DEFAULT gen_random_uuid(),
    collections BIGINT NOT NULL DEFAULT 0
);
INSERT INTO registry (schema_version) VALUES (0);

-- Names sort by their bytes, as in every other index; so do moments, which are texts of one length.
CREATE TABLE adapters (
    name TEXT COLLATE "C" PRIMARY KEY,
    next_version BIGINT NOT NULL DEFAULT 1 CHECK (next_version > 0),
    created_at TEXT COLLATE "C" NOT NULL,
    deleted_at TEXT COLLATE "C"
);

CREATE TABLE versions (
    name TEXT COLLATE "C" NOT NULL REFERENCES adapters (name) DEFERRABLE INITIALLY DEFERRED,
    version BIGINT NOT NULL CHECK (version > 0),
    digest TEXT COLLATE "C" NOT NULL,
    manifest BYTEA NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    deleted_at TEXT COLLATE "C",
    PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX live_versions_by_digest ON versions (name, digest) WHERE deleted_at IS NULL;
CREATE INDEX versions_by_digest ON versions (digest);

CREATE TABLE aliases (
    name TEXT COLLATE "C" NOT NULL,
    alias TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    actor TEXT NOT NULL,
    moved_at TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name, alias),
    FOREIGN KEY (name, version) REFERENCES versions (name, version) DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE events (
    sequence BIGINT PRIMARY KEY CHECK (sequence > 0),
    kind TEXT NOT NULL CHECK (kind IN (
        'version_published', 'version_deleted', 'alias_set', 'alias_rolled_back', 'alias_deleted',
        'adapter_deleted'
    )),
    name TEXT COLLATE "C" NOT NULL,
    happened_at TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    alias TEXT COLLATE "C" NOT NULL,
    previous_version BIGINT NOT NULL,
    actor TEXT NOT NULL
);
CREATE INDEX events_by_alias ON events (name, alias, sequence) WHERE alias <> '';

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '%', tg_argv[0] USING ERRCODE = 'integrity_constraint_violation'; END $$;

CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION refuse('the history is append-only');
CREATE TRIGGER events_are_not_emptied BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse('the history is append-only');
CREATE TRIGGER versions_are_not_removed BEFORE DELETE ON versions
FOR EACH ROW EXECUTE FUNCTION refuse('a version is marked as deleted: its number is never used again');
CREATE TRIGGER versions_are_not_changed BEFORE UPDATE ON versions
FOR EACH ROW WHEN (
    old.deleted_at IS NOT NULL OR new.deleted_at IS NULL
    OR (new.name, new.version, new.digest, new.manifest, new.created_at)
        IS DISTINCT FROM (old.name, old.version, old.digest, old.manifest, old.created_at)
) EXECUTE FUNCTION refuse('a version never changes');
CREATE TRIGGER version_numbers_only_rise BEFORE UPDATE OF next_version ON adapters
FOR EACH ROW WHEN (new.next_version <= old.next_version)
EXECUTE FUNCTION refuse('a version number is never used again');
"""

# What is kept from collection for a while, and for whom.
_LEASES: LiteralString = """
CREATE TABLE leases (
    digest TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,
    ends_at TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (digest, owner)
);
"""

_UNCHANGED: LiteralString = """
CREATE TRIGGER events_are_not_changed BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION refuse('the history is append-only');
"""


def _seal(connection: psycopg.Connection[Any]) -> None:
    """Gives every event the hash that seals it and the one before."""
    connection.execute('ALTER TABLE events ADD COLUMN hash TEXT COLLATE "C"')
    connection.execute("DROP TRIGGER events_are_not_changed ON events")
    rows = connection.execute(f"SELECT {UNSEALED_COLUMNS} FROM events ORDER BY sequence".encode()).fetchall()
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE events SET hash = %s WHERE sequence = %s",
            [(row[-1], row[0]) for row in sealed_rows(rows)],
        )
    connection.execute("ALTER TABLE events ALTER COLUMN hash SET NOT NULL")
    connection.execute(_UNCHANGED)


# What lists are filtered by, so that no manifest is read for it; it follows from the versions.
_FACTS: LiteralString = """
CREATE TABLE facts (
    name TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    base TEXT NOT NULL,
    parent TEXT NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (name, version)
);
"""


def _note_facts(connection: psycopg.Connection[Any]) -> None:
    """Notes what lists are filtered by."""
    connection.execute(_FACTS)
    rows = connection.execute("SELECT name, version, manifest FROM versions").fetchall()
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO facts (name, version, base, parent, actor) VALUES (%s, %s, %s, %s, '')",
            [
                (name, version, facts.base, facts.parent)
                for name, version, facts in ((n, v, Facts.of(n, m)) for n, v, m in rows)
            ],
        )


# What gates aliases carry, and what they found. An earlier Parfocal that is still running, which would move
# an alias past its gate, cannot add an event: its transaction fails.
_GATES: LiteralString = """
ALTER TABLE events ADD COLUMN gate TEXT NOT NULL DEFAULT '';
ALTER TABLE events ALTER COLUMN gate DROP DEFAULT;
ALTER TABLE events DROP CONSTRAINT events_kind_check;
ALTER TABLE events ADD CONSTRAINT events_kind_check CHECK (kind IN (
    'version_published', 'version_deleted', 'alias_set', 'alias_rolled_back', 'alias_deleted',
    'adapter_deleted', 'gate_set', 'gate_cleared'
));
CREATE INDEX events_of_gates ON events (name, alias, sequence) WHERE kind IN ('gate_set', 'gate_cleared');
"""

# What lists are filtered by, of live versions only, with an index for each way in which names are found.
_FOUND_BY: LiteralString = """
ALTER TABLE facts RENAME TO old_facts;

CREATE TABLE facts (
    name TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    base TEXT NOT NULL,
    parent TEXT NOT NULL,
    actor TEXT NOT NULL,
    published TEXT COLLATE "C" NOT NULL,
    words TEXT NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE INDEX facts_by_base ON facts (base, name, version);
CREATE INDEX facts_by_parent ON facts (parent, name, version);

CREATE TABLE version_metrics (
    name TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    metric TEXT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name, version, metric)
);
CREATE INDEX versions_by_metric ON version_metrics (metric, name, version, value);

CREATE TABLE version_tags (
    name TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (name, version, tag)
);
CREATE INDEX versions_by_tag ON version_tags (tag, name, version);
"""
_VERSIONS_AT_ONCE = 64


def _note_what_is_searched(connection: psycopg.Connection[Any]) -> None:
    """Notes it of every live version, some at a time: their manifests may be large."""
    connection.execute(_FOUND_BY)
    noting = _Noting(connection)
    last = ("", 0)
    while True:
        rows = connection.execute(
            "SELECT v.name, v.version, v.manifest, v.created_at, coalesce(f.actor, '') FROM versions v"
            " LEFT JOIN old_facts f ON f.name = v.name AND f.version = v.version"
            " WHERE v.deleted_at IS NULL AND (v.name, v.version) > (%s, %s)"
            " ORDER BY v.name, v.version LIMIT %s",
            (*last, _VERSIONS_AT_ONCE),
        ).fetchall()
        for name, version, manifest, published, actor in rows:
            note(noting, (name, version), Facts.of(name, manifest), actor, published)
        if len(rows) < _VERSIONS_AT_ONCE:
            break
        last = rows[-1][0], rows[-1][1]
    connection.execute("DROP TABLE old_facts")


class _Noting:
    """The transaction of a step, for the statements of every index."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> object:
        return self._connection.execute(statement.replace("?", "%s").encode(), values)


# The signatures of versions.
_SIGNATURES: LiteralString = """
CREATE TABLE signatures (
    name TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    bundle BYTEA NOT NULL,
    sequence BIGINT NOT NULL,
    actor TEXT NOT NULL,
    added_at TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name, version, digest)
);
ALTER TABLE events DROP CONSTRAINT events_kind_check;
ALTER TABLE events ADD CONSTRAINT events_kind_check CHECK (kind IN (
    'version_published', 'version_deleted', 'alias_set', 'alias_rolled_back', 'alias_deleted',
    'adapter_deleted', 'gate_set', 'gate_cleared', 'version_signed'
));
"""

# Second versions of aliases, how they began and ended. An earlier Parfocal that is still running cannot add
# an event: its transaction fails.
_CANARIES: LiteralString = """
ALTER TABLE events ADD COLUMN canary TEXT NOT NULL DEFAULT '';
ALTER TABLE events ALTER COLUMN canary DROP DEFAULT;
ALTER TABLE events DROP CONSTRAINT events_kind_check;
ALTER TABLE events ADD CONSTRAINT events_kind_check CHECK (kind IN (
    'version_published', 'version_deleted', 'alias_set', 'alias_rolled_back', 'alias_deleted',
    'adapter_deleted', 'gate_set', 'gate_cleared', 'version_signed', 'canary_set', 'canary_aborted'
));
ALTER TABLE aliases ADD COLUMN canary BIGINT NOT NULL DEFAULT 0;
"""

# An adapter's moves in their order, without sorting all of them for each page.
_MOVES_IN_ORDER: LiteralString = """
CREATE INDEX events_by_name ON events (name, sequence) WHERE alias <> '';
"""

# Which files live versions have, so that a namespace can be held to its quota without reading a manifest.
_FILES: LiteralString = """
CREATE TABLE version_files (
    name TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    size BIGINT NOT NULL,
    PRIMARY KEY (name, version, digest)
);
CREATE INDEX version_files_by_digest ON version_files (digest, name);
"""


def _note_files(connection: psycopg.Connection[Any]) -> None:
    """Notes the files of every live version, some at a time: their manifests may be large."""
    connection.execute(_FILES)
    last = ("", 0)
    while True:
        rows = connection.execute(
            "SELECT name, version, manifest FROM versions WHERE deleted_at IS NULL"
            " AND (name, version) > (%s, %s) ORDER BY name, version LIMIT %s",
            (*last, _VERSIONS_AT_ONCE),
        ).fetchall()
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO version_files (name, version, digest, size) VALUES (%s, %s, %s, %s)",
                list(noted(rows)),
            )
        if len(rows) < _VERSIONS_AT_ONCE:
            return
        last = rows[-1][0], rows[-1][1]


MIGRATIONS: tuple[Step, ...] = (
    _FIRST, _LEASES, _seal, _note_facts, _GATES, _note_what_is_searched, _SIGNATURES, _CANARIES,
    _MOVES_IN_ORDER, _note_files,
)  # fmt: skip


def schema_version(connection: psycopg.Connection[Any], schema: str) -> int:
    """How many steps the schema has taken; 0 where there is none."""
    # Not to_regclass, whose answer is cached: it may not see what others committed while we waited.
    found = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = 'registry')",
        (schema,),
    ).fetchone()
    if found is None or not found[0]:
        return 0
    # With its schema's name: what this user may not see would seem to be absent.
    table = sql.Identifier(schema, "registry")
    row = connection.execute(sql.SQL("SELECT schema_version FROM {}").format(table)).fetchone()
    return 0 if row is None else int(row[0])


def migrate(connection: psycopg.Connection[Any], schema: str) -> None:
    """Brings the schema to the newest step, in the transaction that the caller has begun."""
    there = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %s)", (schema,)
    ).fetchone()
    if there is None or not there[0]:  # whoever may not make one may have been given one
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    for number in range(schema_version(connection, schema), len(MIGRATIONS)):
        step = MIGRATIONS[number]
        if isinstance(step, str):
            connection.execute(step)
        else:
            step(connection)
        connection.execute("UPDATE registry SET schema_version = %s", (number + 1,))
