"""A collection trusts no index that may be wrong, and asks before most of a registry goes."""

import io
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from fakes.registry.publisher import numbered_adapter
from parfocal.registry import FolderRegistry, Publication, RegistryError, StoredRegistry, rebuild_folder
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.errors import DataLoss, IndexCorrupt, IndexLost


@pytest.fixture
def path(tmp_path: Path, publication: Publication) -> Path:
    """Three live versions, a deleted one, and an alias that moved twice; its index is one file."""
    path = tmp_path / "registry"
    registry = FolderRegistry(path)
    for number in (1, 2, 3, 4):
        registry.publish("x", numbered_adapter(tmp_path, number), publication)
        registry.set_alias("x", "prod", number, actor="ann")
    registry.set_alias("x", "prod", 3)
    registry.delete_version("x", 4)
    return path


def files(path: Path) -> set[str]:
    return {file.name for file in (path / "blobs").rglob("*") if file.is_file()}


def needed(path: Path) -> set[str]:
    """The blobs of live versions."""
    versions = FolderRegistry(path).versions("x").items
    digests = {entry.digest for version in versions for entry in version.manifest.files}
    return {digest.removeprefix("sha256:") for digest in digests | {version.digest for version in versions}}


def change(path: Path, *statements: str) -> None:
    """Changes the index as nothing of ours does: without its triggers."""
    index = sqlite3.connect(path / "index.sqlite", isolation_level=None)
    for (name,) in index.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        index.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        index.execute(statement)
    index.close()


ROTTEN = {
    "a digit of a manifest": "UPDATE versions SET manifest = CAST(replace(CAST(manifest AS TEXT),"
    " 'digest\":\"sha256:', 'digest\":\"sha256:0') AS BLOB) WHERE version = 1",
    "a manifest of another version": "UPDATE versions SET manifest ="
    " (SELECT manifest FROM versions WHERE version = 2) WHERE version = 1",
    "no manifest": "UPDATE versions SET manifest = zeroblob(0) WHERE version = 1",
}
WRONG = {
    "a digest of a version": (
        "UPDATE versions SET digest = 'sha256:' || hex(zeroblob(32)) WHERE version = 1",
    ),
    "a version that is deleted in no event": (
        "UPDATE versions SET deleted_at = created_at WHERE version = 1",
    ),
    "a version that is gone": ("DELETE FROM versions WHERE version = 1",),
    "an event of the past": ("UPDATE events SET actor = 'eve' WHERE sequence = 2",),
    "an event that is gone": ("DELETE FROM events WHERE sequence = 2",),
    "no event at all but the last": (
        "DELETE FROM events WHERE sequence < (SELECT max(sequence) FROM events)",
        "UPDATE versions SET deleted_at = created_at",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_nothing_is_freed_by_an_index_that_contradicts_itself_or_the_journal(path: Path, wrong: str) -> None:
    there = files(path)
    change(path, *WRONG[wrong])
    with pytest.raises((IndexCorrupt, IndexLost), match=f"parfocal registry rebuild {path}"):
        FolderRegistry(path).collect_garbage(most=True)
    assert files(path) == there
    rebuilt = rebuild_folder(path).rebuilt
    assert (rebuilt.versions, rebuilt.aliases, rebuilt.lost) == (3, 1, ())
    assert FolderRegistry(path).verify().is_sound


@pytest.mark.parametrize("rotten", ROTTEN)
@pytest.mark.parametrize("has_blob", [True, False])
def test_a_manifest_that_rots_in_the_index_frees_no_file_of_its_version(
    path: Path, rotten: str, has_blob: bool
) -> None:
    kept, digest = needed(path), FolderRegistry(path).resolve("x@1").digest
    if not has_blob:
        FolderBlobs(path).remove(digest)
        kept.remove(digest.removeprefix("sha256:"))
    change(path, ROTTEN[rotten])
    with suppress(RegistryError):
        FolderRegistry(path).collect_garbage(most=True)
    assert kept <= files(path)


@pytest.mark.parametrize("has_journal", [True, False])
def test_whatever_byte_of_the_index_flips_no_file_of_a_live_version_is_freed(
    path: Path, has_journal: bool
) -> None:
    kept, flips = needed(path), random.Random(0)
    if not has_journal:
        (path / "journal.jsonl").unlink()
    data = (path / "index.sqlite").read_bytes()
    refused = 0
    for number in range(60):
        copy = shutil.copytree(path, path.parent / f"copy-{number}")
        spoilt = bytearray(data)
        spoilt[flips.randrange(len(data))] ^= 1 << flips.randrange(8)
        (copy / "index.sqlite").write_bytes(spoilt)
        try:
            FolderRegistry(copy).collect_garbage(most=True)
        except RegistryError:
            refused += 1
        assert kept <= files(copy)
        shutil.rmtree(copy)
    assert refused


@pytest.mark.parametrize("size", [0, 100, 4096, 10_000])
def test_an_index_that_is_cut_and_has_lost_its_journal_too_frees_nothing(path: Path, size: int) -> None:
    there, known = files(path), needed(path)
    os.truncate(path / "index.sqlite", size)
    (path / "journal.jsonl").unlink()
    with pytest.raises(RegistryError, match="parfocal registry rebuild"):
        FolderRegistry(path).collect_garbage(most=True)
    assert files(path) == there
    rebuild_folder(path)
    registry = FolderRegistry(path)
    registry.collect_garbage(most=True)
    assert known <= files(path)


def test_a_young_index_beside_old_blobs_frees_none_of_their_versions(
    path: Path, tmp_path: Path, publication: Publication
) -> None:
    known = needed(path)
    young = tmp_path / "young"
    registry = FolderRegistry(young)
    registry.publish("y", numbered_adapter(tmp_path, 1), publication)
    del registry
    shutil.copyfile(young / "index.sqlite", path / "index.sqlite")
    (path / "journal.jsonl").unlink()
    registry = FolderRegistry(path)
    assert len(registry.collect_garbage(most=True).unindexed) == 3
    assert known <= files(path)


@pytest.fixture(params=["killed", "killed and its shared memory torn"])
def waiting(request: pytest.FixtureRequest, path: Path, tmp_path: Path) -> Path:
    """The registry with commits that wait in the -wal file, as a killed process leaves it."""
    copy = tmp_path / "waiting"
    registry = FolderRegistry(path)
    registry.set_alias("x", "prod", 2, actor="ben")
    registry.set_alias("x", "beta", 1)
    shutil.copytree(path, copy)
    if request.param.endswith("torn"):
        (copy / "index.sqlite-shm").write_bytes(b"\xff" * 32768)
    assert (copy / "index.sqlite-wal").stat().st_size > 0
    return copy


def emptied(path: Path) -> None:
    (path / "index.sqlite-wal").write_bytes(b"")


def removed(path: Path) -> None:
    (path / "index.sqlite-wal").unlink()


def cut(path: Path) -> None:
    os.truncate(path / "index.sqlite-wal", (path / "index.sqlite-wal").stat().st_size // 2)


def noisy(path: Path) -> None:
    size = (path / "index.sqlite-wal").stat().st_size
    (path / "index.sqlite-wal").write_bytes(random.Random(0).randbytes(size))


def of_another(path: Path) -> None:
    other = path.parent / "other"
    registry = FolderRegistry(other)
    registry.publish("z", path.parent / "numbered-1", Publication(unverified_base=True))
    shutil.copyfile(other / "index.sqlite-wal", path / "index.sqlite-wal")


@pytest.mark.parametrize("damage", [emptied, removed, cut, noisy, of_another])
@pytest.mark.parametrize("has_journal", [True, False])
def test_commits_that_are_lost_with_the_wal_free_nothing_and_come_back_from_the_journal(
    waiting: Path, damage: Callable[[Path], None], has_journal: bool
) -> None:
    there = files(waiting)
    digests = {version.digest for version in FolderRegistry(waiting.parent / "registry").versions("x").items}
    if not has_journal:
        (waiting / "journal.jsonl").write_bytes(b"torn")
    damage(waiting)
    with suppress(DataLoss):
        FolderRegistry(waiting).collect_garbage()
    garbage = {file for file in there if file not in files(waiting)}
    rebuild_folder(waiting)
    registry = FolderRegistry(waiting)
    assert {registry.find(digest).digest for digest in digests} == digests
    if has_journal:
        assert {version.version for version in registry.versions("x").items} == {1, 2, 3}
        assert [(alias.alias, alias.version) for alias in registry.aliases("x")] == [("beta", 1), ("prod", 2)]
        assert registry.alias_history("x", "prod")[0].actor == "ben"
        assert registry.verify().is_sound
    assert len(garbage) <= 2  # configuration and manifest of the version that was deleted


def test_more_than_half_of_the_versions_is_only_told_of(path: Path, tmp_path: Path) -> None:
    registry, there = FolderRegistry(path), files(path)
    registry.delete_version("x", 1)
    registry.delete_version("x", 2)
    told = registry.collect_garbage()
    assert (told.dry_run, told.is_most) == (True, True)
    assert files(path) == there
    done = registry.collect_garbage(most=True)
    assert (done.dry_run, done.blobs) == (False, told.blobs)
    assert FolderRegistry(path).verify().is_sound


def test_half_of_the_versions_may_go(path: Path) -> None:
    registry = FolderRegistry(path)
    registry.delete_version("x", 1)
    assert registry.collect_garbage().dry_run is False


def test_more_than_half_of_the_bytes_is_only_told_of(path: Path) -> None:
    stray = path / "blobs" / "sha256" / "00" / ("0" * 64)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(bytes(1 << 20))
    registry = FolderRegistry(path)
    assert registry.collect_garbage().dry_run is True
    assert stray.exists()
    registry.collect_garbage(most=True)
    assert not stray.exists()


def test_over_any_storage_the_last_version_goes_only_if_that_is_said(
    any_storage: StoredRegistry, adapter: Callable[..., Path], publication: Publication
) -> None:
    any_storage.publish("x", adapter(), publication)
    any_storage.delete_version("x", 1)
    assert any_storage.collect_garbage().dry_run is True
    assert any_storage.collect_garbage(most=True).freed_bytes > 0
    assert any_storage.collect_garbage().blobs == ()


def test_an_empty_registry_has_nothing_to_ask_about(any_storage: StoredRegistry) -> None:
    assert any_storage.collect_garbage().is_most is False


@pytest.mark.parametrize("has_lost", ["nothing", "a file", "its schema"])
def test_a_version_that_the_index_never_knew_is_kept_though_it_be_damaged_or_newer(
    path: Path, tmp_path: Path, publication: Publication, has_lost: str
) -> None:
    other = FolderRegistry(tmp_path / "other")
    version = other.publish("y", numbered_adapter(tmp_path, 9), publication)
    data = version.manifest.to_bytes()
    if has_lost == "its schema":
        data = data.replace(b'"schema":2', b'"schema":99')
    blobs = FolderBlobs(path)
    unknown = blobs.put(io.BytesIO(data))
    config = version.manifest.files[0].digest
    if has_lost != "a file":
        with FolderBlobs(tmp_path / "other").open(config) as file:
            blobs.put(file)
    there = files(path)
    garbage = FolderRegistry(path).collect_garbage(most=True)
    assert garbage.unindexed == (unknown.digest,)
    assert there - files(path) <= {blob.digest.removeprefix("sha256:") for blob in garbage.blobs}
    assert blobs.size(unknown.digest) is not None
    assert (blobs.size(config) is not None) == (has_lost != "a file")
    FolderRegistry(path).collect_garbage(most=True, unindexed=True)
    assert blobs.size(unknown.digest) is None
