"""An index in PostgreSQL that was lost or changed comes back from the bucket beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fakes.registry.publisher import numbered_adapter
from fakes.signing.signatures import sign
from parfocal.registry import Publication, SharedRegistry, StorageAddress, rebuild_shared
from parfocal.registry.blobs.objects import ObjectJournal, open_bucket
from parfocal.registry.errors import IndexLost, InvalidArgument, NotARegistry
from parfocal.registry.values import VersionFilter

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'parfocal[postgres]'")
Execute = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def execute(shared_address: StorageAddress) -> Execute:
    """Returns a function that runs a statement in the schema of the index."""
    url, _, schema = shared_address.index.rpartition("&schema=")

    def run(statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(url, options=f"-c search_path={schema}", autocommit=True) as connection:
            done = connection.execute(statement.replace("SCHEMA_", schema))
            return done.fetchall() if done.description else []

    return run


@pytest.fixture
def unsigned(shared_address: StorageAddress, publication: Publication, tmp_path: Path) -> SharedRegistry:
    """A registry with three versions, one of them deleted, and an alias that was rolled back."""
    registry = SharedRegistry(shared_address, cache=tmp_path / "cache")
    for number in (1, 2, 3):
        registry.publish("team/x", numbered_adapter(tmp_path, number), publication)
    registry.set_alias("team/x", "prod", 1, actor="ann")
    registry.set_alias("team/x", "prod", 3, actor="ben")
    registry.rollback_alias("team/x", "prod", 3, actor="cy")
    registry.delete_version("team/x", 2)
    return registry


@pytest.fixture
def written(unsigned: SharedRegistry) -> SharedRegistry:
    """The same, and a version is signed."""
    sign(unsigned, unsigned.resolve("team/x@1"), "dee")
    return unsigned


def check(registry: SharedRegistry, signers: Sequence[str] = ("dee",)) -> None:
    assert [version.version for version in registry.versions("team/x").items] == [3, 1]
    assert registry.resolve("team/x@prod").version == 1
    assert [move.actor for move in registry.alias_history("team/x", "prod")] == ["cy", "ben", "ann"]
    assert [each.actor for each in registry.signatures("team/x", 1)] == [*signers]
    assert registry.verify().is_sound
    assert registry.verify_history().is_sound


def test_a_lost_index_comes_back_whole(
    written: SharedRegistry,
    shared_address: StorageAddress,
    execute: Execute,
    publication: Publication,
    tmp_path: Path,
) -> None:
    seal = written.verify_history().last
    execute("DROP SCHEMA SCHEMA_ CASCADE")
    with pytest.raises(IndexLost):
        SharedRegistry(shared_address, cache=tmp_path / "cache")
    done = rebuild_shared(shared_address, tmp_path / "cache")
    assert (done.rebuilt.versions, done.rebuilt.aliases, done.set_aside) == (2, 1, ())
    check(SharedRegistry(shared_address, cache=tmp_path / "cache"))
    # A process that had it open goes on, and the seal of the history is what it was.
    assert written.verify_history(seal).is_sound
    assert written.publish("team/x", numbered_adapter(tmp_path, 4), publication).version == 4


def test_a_changed_index_is_replaced_and_kept_beside(
    written: SharedRegistry, shared_address: StorageAddress, execute: Execute, tmp_path: Path
) -> None:
    execute("DROP TRIGGER events_are_not_changed ON events")
    execute("UPDATE events SET actor = 'eve' WHERE sequence = 5")
    execute("UPDATE aliases SET version = 3")
    named = [fault.sequence for fault in written.verify_history().faults]
    assert named == [5, 0]
    done = rebuild_shared(shared_address, tmp_path / "cache")
    [aside] = done.set_aside
    schema = aside.removeprefix("schema ")
    assert execute(f"SELECT count(*) FROM {schema}.events WHERE actor = 'eve'") == [(1,)]
    check(written)


def test_what_the_journal_lacks_is_taken_from_the_old_index(
    written: SharedRegistry, shared_address: StorageAddress, tmp_path: Path
) -> None:
    ObjectJournal(open_bucket(shared_address.blobs)).set_aside()
    done = rebuild_shared(shared_address, tmp_path / "cache")
    assert done.rebuilt.recovered == ()
    check(SharedRegistry(shared_address, cache=tmp_path / "cache"))


def test_without_journal_and_index_versions_come_back_under_names_of_their_own(
    written: SharedRegistry, shared_address: StorageAddress, execute: Execute, tmp_path: Path
) -> None:
    del written
    ObjectJournal(open_bucket(shared_address.blobs)).set_aside()
    execute("DROP SCHEMA SCHEMA_ CASCADE")
    done = rebuild_shared(shared_address, tmp_path / "cache")
    assert len(done.rebuilt.recovered) == 3
    registry = SharedRegistry(shared_address, cache=tmp_path / "cache")
    assert all(each.name.startswith("recovered/") for each in registry.adapters().items)
    assert registry.verify().is_sound


def test_nothing_is_made_of_nothing(shared_address: StorageAddress, tmp_path: Path) -> None:
    with pytest.raises(NotARegistry):
        rebuild_shared(shared_address, tmp_path / "cache")
    with pytest.raises(InvalidArgument, match="only an index in PostgreSQL"):
        rebuild_shared(StorageAddress("sqlite:///x/index.sqlite", "/x"), tmp_path / "cache")


def test_a_history_of_before_events_were_sealed_is_sealed_when_it_is_opened(
    unsigned: SharedRegistry, shared_address: StorageAddress, execute: Execute, tmp_path: Path
) -> None:
    execute("DROP INDEX events_of_gates, events_by_name")
    execute("ALTER TABLE aliases DROP COLUMN canary")
    execute("ALTER TABLE events DROP COLUMN canary")
    execute("ALTER TABLE events DROP COLUMN gate")
    execute("ALTER TABLE events DROP COLUMN hash")
    for table in ("facts", "version_metrics", "version_tags", "signatures", "version_files"):
        execute(f"DROP TABLE {table}")
    execute("UPDATE registry SET schema_version = 2")
    registry = SharedRegistry(shared_address, cache=tmp_path / "cache")
    check(registry, signers=())
    registry.set_alias("team/x", "dev", 1)
    assert registry.verify_history().events == 8
    found = registry.adapters(where=VersionFilter(search="team/x"))
    assert [adapter.name for adapter in found.items] == ["team/x"]
