"""An index that is lost beside blobs is not replaced in silence; nothing is deleted; it can be rebuilt."""

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.registry.publisher import numbered_adapter
from parfocal.registry import FolderRegistry, Publication, RegistryError, rebuild_folder
from parfocal.registry.errors import IndexCorrupt, IndexLost, NotARegistry

Damage = Callable[[Path, Path], None]


def replace(path: Path, data: bytes) -> None:
    for name in ("index.sqlite-wal", "index.sqlite-shm"):
        (path / name).unlink(missing_ok=True)
    (path / "index.sqlite").write_bytes(data)


def gone(path: Path, older: Path) -> None:
    replace(path, b"")
    (path / "index.sqlite").unlink()


def emptied(path: Path, older: Path) -> None:
    replace(path, b"")


def cut(path: Path, older: Path) -> None:
    data = (path / "index.sqlite").read_bytes()
    replace(path, data[: len(data) // 2])


def noise(path: Path, older: Path) -> None:
    replace(path, random.Random(0).randbytes(20_000))


def noise_behind_the_header(path: Path, older: Path) -> None:
    data = (path / "index.sqlite").read_bytes()
    replace(path, data[:4096] + random.Random(0).randbytes(len(data) - 4096))


def foreign(path: Path, older: Path) -> None:
    replace(path, b"")
    with sqlite3.connect(path / "index.sqlite") as index:
        index.execute("CREATE TABLE mine (x)")
    index.close()


def an_older_copy(path: Path, older: Path) -> None:
    replace(path, older.read_bytes())


def another_registry(path: Path, older: Path) -> None:
    other = path.parent / "other"
    registry = FolderRegistry(other)
    folder = path.parent / "numbered-9"
    for number in range(20):
        registry.publish(f"a{number}", folder, Publication(unverified_base=True))
    del registry
    replace(path, (other / "index.sqlite").read_bytes())


DAMAGES: dict[Damage, type[RegistryError]] = {
    gone: IndexLost,
    emptied: IndexLost,
    cut: IndexCorrupt,
    noise: IndexCorrupt,
    noise_behind_the_header: IndexCorrupt,
    foreign: NotARegistry,
    an_older_copy: IndexLost,
    another_registry: IndexLost,
}


def whole(path: Path) -> dict[str, object]:
    """Everything that users see of a registry."""
    registry = FolderRegistry(path)
    names = [summary.name for summary in registry.adapters().items]
    versions = {name: registry.versions(name).items for name in names}
    for version in (version for page in versions.values() for version in page):
        assert registry.materialise(version.digest).is_dir()
    return {
        "adapters": registry.adapters().items,
        "versions": versions,
        "aliases": {name: registry.aliases(name) for name in names},
        "moves": {name: registry.alias_moves(name).items for name in names},
    }


def blobs(path: Path) -> list[Path]:
    return sorted((path / "blobs").rglob("*"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_lost_index_is_refused_with_the_way_out_and_nothing_is_touched(
    path: Path, older: Path, damage: Damage
) -> None:
    damage(path, older)
    there, index = blobs(path), path / "index.sqlite"
    was = index.read_bytes() if index.exists() else None
    for attempt in (FolderRegistry, lambda path: FolderRegistry(path, create=False).collect_garbage()):
        with pytest.raises(DAMAGES[damage], match=f"parfocal registry rebuild {path}"):
            attempt(path)
    assert blobs(path) == there
    assert (index.read_bytes() if index.exists() else None) == was


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_rebuilt_index_has_every_version_alias_and_move(path: Path, older: Path, damage: Damage) -> None:
    before = whole(path)
    damage(path, older)
    rebuilt = rebuild_folder(path).rebuilt
    assert (rebuilt.versions, rebuilt.aliases, rebuilt.lost, rebuilt.recovered) == (4, 1, (), ())
    assert whole(path) == before
    assert FolderRegistry(path).collect_garbage(dry_run=True).unindexed == ()


@pytest.mark.parametrize("damage", DAMAGES)
def test_numbers_go_on_after_a_rebuild(
    path: Path, older: Path, tmp_path: Path, publication: Publication, damage: Damage
) -> None:
    damage(path, older)
    rebuild_folder(path)
    registry = FolderRegistry(path)
    assert registry.publish("team/x", numbered_adapter(tmp_path, 50), publication).version == 4
    assert registry.rollback_alias("team/x", "prod", 3).version == 1
    assert FolderRegistry(path).resolve("team/x").version == 4


def test_what_a_rebuild_replaces_is_kept(path: Path, older: Path) -> None:
    noise(path, older)
    was = (path / "index.sqlite").read_bytes()
    [aside] = rebuild_folder(path).set_aside
    assert aside.read_bytes() == was
    noise(path, older)
    [second] = rebuild_folder(path).set_aside
    assert aside.exists() and second != aside


def test_a_sound_index_is_rebuilt_to_itself(path: Path) -> None:
    before = whole(path)
    rebuild_folder(path)
    assert whole(path) == before


def test_without_a_journal_an_index_that_can_be_read_tells_all(path: Path, older: Path) -> None:
    before = whole(path)
    (path / "journal.jsonl").unlink()
    assert rebuild_folder(path).rebuilt.recovered == ()
    assert whole(path) == before


def test_without_index_and_journal_every_version_comes_back_under_a_name_of_its_own(
    path: Path, older: Path
) -> None:
    digests = {
        v.digest for name in ("team/x", "solo", "late") for v in FolderRegistry(path).versions(name).items
    }
    gone(path, older)
    (path / "journal.jsonl").unlink()
    with pytest.raises(IndexLost):
        FolderRegistry(path)
    rebuilt = rebuild_folder(path).rebuilt
    registry = FolderRegistry(path)
    found = {registry.resolve(name).digest for name in rebuilt.recovered}
    assert digests <= found
    assert all(name.startswith("recovered/") for name in rebuilt.recovered)
    assert all(registry.materialise(digest).is_dir() for digest in found)


def test_an_older_copy_without_its_journal_frees_nothing_that_was_published_later(
    path: Path, older: Path
) -> None:
    late = FolderRegistry(path).resolve("late")
    an_older_copy(path, older)
    (path / "journal.jsonl").unlink()
    registry = FolderRegistry(path)
    garbage = registry.collect_garbage()
    assert garbage.unindexed == (late.digest,)
    del registry
    [name] = rebuild_folder(path).rebuilt.recovered
    assert FolderRegistry(path).resolve(name).manifest == late.manifest
    assert FolderRegistry(path).collect_garbage().unindexed == ()


def test_whole_versions_that_no_index_names_are_freed_if_that_is_said(path: Path, older: Path) -> None:
    an_older_copy(path, older)
    (path / "journal.jsonl").unlink()
    registry = FolderRegistry(path)
    before = len(blobs(path))
    assert registry.collect_garbage(unindexed=True).freed_bytes > 0
    assert len(blobs(path)) < before
    assert registry.collect_garbage().unindexed == ()


def test_a_version_whose_manifest_is_gone_too_is_given_up_by_name(path: Path, older: Path) -> None:
    digest = FolderRegistry(path).resolve("team/x@prod").digest.removeprefix("sha256:")
    gone(path, older)
    (path / "blobs" / "sha256" / digest[:2] / digest).unlink()
    rebuilt = rebuild_folder(path).rebuilt
    assert rebuilt.lost == ("team/x@3",)
    registry = FolderRegistry(path)
    assert [version.version for version in registry.versions("team/x").items] == [1]
    assert registry.aliases("team/x") == []
    assert registry.alias_history("team/x", "prod")[0].actor == "parfocal registry rebuild"
    assert registry.verify().problems == ()


def test_a_registry_is_not_rebuilt_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotARegistry):
        rebuild_folder(tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_registry_may_be_moved_and_copied_whole(path: Path, older: Path) -> None:
    before = whole(path)
    shutil.copytree(path, path.parent / "copy")
    assert whole(path.parent / "copy") == before
