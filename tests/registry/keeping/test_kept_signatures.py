"""Signatures outlive what happens to an index, and are missed where they are gone."""

import io
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.signing.signatures import sign
from parfocal.registry import (
    FolderRegistry,
    Publication,
    SharedRegistry,
    StorageAddress,
    StoredRegistry,
    Version,
    back_up,
    rebuild_folder,
)
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.gates import Gate, SameBase
from parfocal.registry.values import Signature

Write = Callable[..., Path]


@pytest.fixture
def path(tmp_path: Path, adapter: Write, publication: Publication) -> Path:
    """A registry's folder: two versions of team/x; ann and ben have signed the first, ben the second."""
    registry = FolderRegistry(tmp_path / "registry")
    for fill in (1, 2):
        registry.publish("team/x", adapter(fill=fill), publication)
    for number, name in ((1, "ann"), (1, "ben"), (2, "ben")):
        sign(registry, registry.resolve(f"team/x@{number}"), name)
    return registry.path


@pytest.fixture
def signed(path: Path) -> FolderRegistry:
    return FolderRegistry(path)


def every_signature(registry: StoredRegistry) -> list[tuple[Signature, ...]]:
    return [registry.signatures("team/x", number) for number in (1, 2)]


def test_a_rebuilt_index_has_them(path: Path) -> None:
    before = every_signature(FolderRegistry(path))
    (path / "index.sqlite").unlink()

    rebuilt = rebuild_folder(path).rebuilt

    after = FolderRegistry(path)
    assert (rebuilt.versions, rebuilt.lost, rebuilt.recovered) == (2, (), ())
    assert every_signature(after) == before
    assert after.verify().is_sound
    assert after.verify_history().is_sound


def test_an_index_is_rebuilt_though_a_signature_is_lost_everywhere(path: Path) -> None:
    first, second = every_signature(FolderRegistry(path))
    (path / "index.sqlite").unlink()
    FolderBlobs(path).remove(first[0].digest)

    rebuild_folder(path)

    after = FolderRegistry(path)
    assert [each.bundle for each in after.signatures("team/x", 1)] == [b"", first[1].bundle]
    assert after.signatures("team/x", 2) == second
    assert [(bad.digest, bad.problem, bad.versions) for bad in after.verify().bad] == [
        (first[0].digest, "missing", ("team/x@1",))
    ]


def test_a_backup_has_them(signed: FolderRegistry, tmp_path: Path) -> None:
    copied = back_up(signed, tmp_path / "copy")

    copy = FolderRegistry(tmp_path / "copy")
    assert copied.bad == ()
    assert every_signature(copy) == every_signature(signed)
    assert copy.verify().is_sound


def test_collection_keeps_them_as_long_as_their_version(signed: FolderRegistry) -> None:
    blobs = FolderBlobs(signed.path)
    first, second = every_signature(signed)

    assert signed.collect_garbage().blobs == ()
    signed.delete_version("team/x", 1)
    freed = {blob.digest for blob in signed.collect_garbage(most=True).blobs}

    assert {each.digest for each in first} <= freed
    assert signed.signatures("team/x", 2) == second
    assert blobs.size(second[0].digest) is not None
    assert signed.verify().is_sound


def test_a_signature_that_rotted_in_the_store_is_named(signed: FolderRegistry) -> None:
    (first, _), _ = every_signature(signed)
    blob = FolderBlobs(signed.path).path(first.digest)
    blob.chmod(0o644)
    blob.write_bytes(b"rotten")

    bad = signed.verify().bad

    assert [(each.digest, each.problem, each.versions) for each in bad] == [
        (first.digest, "corrupt", ("team/x@1",))
    ]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ("DELETE FROM signatures WHERE version = 2", "team/x@2 was signed with sha256:"),
        (
            "INSERT INTO signatures SELECT name, version, 'sha256:other', bundle, sequence, actor, added_at"
            " FROM signatures WHERE version = 2",
            "sha256:other is a signature that no event has added",
        ),
    ],
)
def test_history_tells_what_was_done_to_signatures_behind_its_back(
    signed: FolderRegistry, edit: str, told: str
) -> None:
    index = sqlite3.connect(signed.path / "index.sqlite")
    with index:
        index.execute(edit)
    index.close()

    (fault,) = signed.verify_history().faults

    assert told in str(fault)


def test_every_storage_keeps_a_signature_soundly(
    any_storage: StoredRegistry, adapter: Write, publication: Publication
) -> None:
    version: Version = any_storage.publish("team/x", adapter(fill=1), publication)
    sign(any_storage, version, "ann")

    assert any_storage.verify().is_sound
    assert any_storage.verify_history().is_sound
    assert any_storage.collect_garbage(grace_s=0).blobs == ()


def test_a_blob_that_only_looks_like_a_signature_is_garbage(signed: FolderRegistry) -> None:
    stray = FolderBlobs(signed.path).put(io.BytesIO(b'{"mediaType":"x"}'))

    assert [blob.digest for blob in signed.collect_garbage().blobs] == [stray.digest]


def test_an_index_of_before_there_were_signatures_takes_them(signed: FolderRegistry) -> None:
    path = signed.path
    signed.set_gate("team/x", "prod", Gate((SameBase(signed.resolve("team/x@1").manifest.contract.base),)))
    signed.set_alias("team/x", "prod", 1, actor="ann")
    history, gate = signed.alias_history("team/x", "prod"), signed.gate("team/x", "prod")
    before = signed.verify_history().last
    index = sqlite3.connect(path / "index.sqlite", isolation_level=None)
    for table in ("signatures", "version_files"):
        index.execute(f"DROP TABLE {table}")
    for table in ("aliases", "events"):
        index.execute(f"ALTER TABLE {table} DROP COLUMN canary")
    index.execute("PRAGMA user_version = 7")
    index.close()

    migrated = FolderRegistry(path)

    assert (migrated.alias_history("team/x", "prod"), migrated.gate("team/x", "prod")) == (history, gate)
    assert migrated.verify_history(before).last == before
    assert sign(migrated, migrated.resolve("team/x@1"), "cy") in migrated.signatures("team/x", 1)


def test_an_index_in_postgresql_of_before_there_were_signatures_takes_them(
    shared_address: StorageAddress, adapter: Write, publication: Publication, tmp_path: Path
) -> None:
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    registry = SharedRegistry(shared_address, cache=tmp_path / "cache")
    version = registry.publish("team/x", adapter(fill=1), publication)
    registry.set_gate("team/x", "prod", Gate((SameBase(version.manifest.contract.base),)))
    registry.set_alias("team/x", "prod", 1, actor="ann")
    before, gate = registry.verify_history().last, registry.gate("team/x", "prod")
    url, _, schema = shared_address.index.rpartition("&schema=")
    with psycopg.connect(url, options=f"-c search_path={schema}", autocommit=True) as connection:
        connection.execute("DROP TABLE signatures, version_files")
        connection.execute("DROP INDEX events_by_name")
        for table in ("aliases", "events"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN canary")
        connection.execute("UPDATE registry SET schema_version = 6")

    migrated = SharedRegistry(shared_address, cache=tmp_path / "cache")

    assert migrated.gate("team/x", "prod") == gate
    assert migrated.verify_history(before).last == before
    assert migrated.signatures("team/x", 1) == ()
    assert sign(migrated, version, "ann") in migrated.signatures("team/x", 1)
    assert migrated.verify_history().is_sound
