"""An index of an earlier Parfocal is opened, keeps all that it knew, and its history becomes events."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.registry.publisher import numbered_adapter
from parfocal.registry import Evaluation, FolderRegistry, MoveKind, Publication, rebuild_folder
from parfocal.registry.index.sqlite.migrations import APPLICATION_ID, MIGRATIONS, migrate
from parfocal.registry.index.sqlite.opening import check_owner, connect, uri_of
from parfocal.registry.values import MetricCondition, VersionFilter

NOON, LATER, LAST = (f"2026-01-0{day}T12:00:00.000000+00:00" for day in (1, 2, 3))


@pytest.fixture
def first_schema(tmp_path: Path, publication: Publication) -> Path:
    """A registry as the first schema wrote it: four versions, one deleted, an alias that was rolled back."""
    path = tmp_path / "registry"
    registry = FolderRegistry(path)
    scored = replace(publication, evaluation=Evaluation("sha256:rows", 1, {"f1": 0.5}))
    versions = [registry.publish("x", numbered_adapter(tmp_path, n), scored) for n in range(4)]
    del registry
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "journal.jsonl"):
        (path / name).unlink(missing_ok=True)
    index = sqlite3.connect(path / "index.sqlite", isolation_level=None)
    index.executescript(f"{MIGRATIONS[0]} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;")
    index.execute("PRAGMA journal_mode = WAL")
    index.execute("INSERT INTO adapters VALUES ('x', 5, ?)", (NOON,))
    for version in versions:
        # The clock was set back after the third version.
        when = NOON if version.version == 4 else LATER
        row = (version.version, version.digest, version.manifest.to_bytes(), when)
        index.execute("INSERT INTO versions VALUES ('x', ?, ?, ?, ?, NULL)", row)
    index.execute("UPDATE versions SET deleted_at = ? WHERE version = 2", (LAST,))
    index.execute("INSERT INTO aliases VALUES ('x', 'prod', 1, 'cy', ?)", (LAST,))
    moves = [(0, 1, "set", "ann", LATER), (1, 4, "set", "ben", NOON), (4, 1, "rollback", "cy", LAST)]
    for move in moves:
        index.execute(
            "INSERT INTO alias_moves (name, alias, previous_version, version, kind, actor, moved_at)"
            " VALUES ('x', 'prod', ?, ?, ?, ?, ?)",
            move,
        )
    index.close()
    return path


def check(registry: FolderRegistry) -> None:
    assert [version.version for version in registry.versions("x").items] == [4, 3, 1]
    assert registry.resolve("x@prod").version == 1
    history = registry.alias_history("x", "prod")
    assert [(move.kind, move.previous_version, move.version, move.actor) for move in history] == [
        (MoveKind.ROLLBACK, 4, 1, "cy"),
        (MoveKind.SET, 1, 4, "ben"),
        (MoveKind.SET, 0, 1, "ann"),
    ]
    assert [move.moved_at.day for move in history] == [3, 1, 2]
    assert registry.verify().is_sound


def test_an_index_of_the_first_schema_keeps_all_that_it_knew(first_schema: Path) -> None:
    check(FolderRegistry(first_schema))


def test_a_migrated_index_goes_on(first_schema: Path, tmp_path: Path, publication: Publication) -> None:
    registry = FolderRegistry(first_schema)
    assert registry.publish("x", numbered_adapter(tmp_path, 9), publication).version == 5
    registry.set_alias("x", "prod", 5)
    assert registry.rollback_alias("x", "prod", registry.resolve("x@prod").version).version == 1
    check_after = FolderRegistry(first_schema)
    assert check_after.resolve("x").version == 5


def test_a_migrated_index_is_searched(first_schema: Path) -> None:
    registry = FolderRegistry(first_schema)
    for where in (
        VersionFilter(search="x small-base"),
        VersionFilter(metrics=(MetricCondition.parse("f1=0.5"),)),
    ):
        assert [version.version for version in registry.versions("x", where=where).items] == [4, 3, 1]
        assert [adapter.name for adapter in registry.adapters(where=where).items] == ["x"]


def test_the_history_of_a_migrated_index_can_be_restored(first_schema: Path) -> None:
    before = FolderRegistry(first_schema).alias_history("x", "prod")
    (first_schema / "index.sqlite").unlink()
    rebuild_folder(first_schema)
    assert FolderRegistry(first_schema).alias_history("x", "prod") == before
    check(FolderRegistry(first_schema))


def test_an_index_of_the_first_schema_is_rebuilt_although_it_was_never_migrated(first_schema: Path) -> None:
    assert rebuild_folder(first_schema).rebuilt.recovered == ()
    check(FolderRegistry(first_schema))


def test_a_migration_that_is_cut_short_changes_nothing(first_schema: Path) -> None:
    index = sqlite3.connect(first_schema / "index.sqlite", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        index.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[1]} SELECT no_such_function(); COMMIT;")
    index.close()
    check(FolderRegistry(first_schema))


@pytest.mark.parametrize("statements", range(5))
def test_an_index_that_another_process_founds_meanwhile_is_no_strangers(
    tmp_path: Path, statements: int
) -> None:
    path = tmp_path / "index.sqlite"
    path.touch()
    uri = f"{uri_of(path)}?mode=rw"
    looking, founding = connect(uri), connect(uri)
    seen: list[str] = []

    def founds(statement: str) -> None:
        if len(seen) == statements:
            migrate(founding)
        seen.append(statement)

    looking.set_trace_callback(founds)
    check_owner(looking, path)

    looking.close()
    founding.close()
