"""A backup holds what held at one moment, however much is published meanwhile."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.registry.memory_blobs import MemoryBlobs
from fakes.registry.memory_index import MemoryIndex
from fakes.registry.publisher import Order, numbered_adapter, publisher
from parfocal.registry import FolderRegistry, Publication, StoredRegistry, Version, back_up
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.copies import LocalCopies
from parfocal.registry.errors import IndexLost, NotARegistry, VersionNotFound


def every_version(registry: StoredRegistry) -> list[Version]:
    """All versions, after reading every byte of each."""
    found: list[Version] = []
    for summary in registry.adapters(page_size=1000).items:
        page = registry.versions(summary.name, page_size=1000)
        while page.next_page_token:
            found += page.items
            page = registry.versions(summary.name, 1000, page.next_page_token)
        found += page.items
    assert all(registry.materialise(version.digest).is_dir() for version in found)
    return found


def test_backups_beside_two_publishers_are_whole_and_only_grow(tmp_path: Path) -> None:
    path = tmp_path / "registry"
    registry = FolderRegistry(path)
    counts = []
    with publisher() as one, publisher() as two:
        for number in range(3):
            # Both publish on while the copy is made, and are killed in the midst of it.
            children = [
                one.begin(Order(str(path), "one", first=1000 * number, count=999)),
                two.begin(Order(str(path), "two", first=100_000 + 1000 * number, count=999)),
            ]
            back_up(registry, tmp_path / f"backup-{number}")
            for child in children:
                os.kill(child, signal.SIGKILL)
            assert one.end()[0] == two.end()[0] == -signal.SIGKILL
            copy = FolderRegistry(tmp_path / f"backup-{number}")
            versions = every_version(copy)
            for name in ("one", "two"):
                numbers = sorted(version.version for version in versions if version.name == name)
                assert numbers == list(range(1, len(numbers) + 1))
            assert copy.verify().is_sound
            counts.append(len(versions))
    assert counts == sorted(counts)


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o770, 0o755])
def test_a_copy_is_open_to_those_whom_the_registry_is_open_to(
    tmp_path: Path, publication: Publication, mode: int
) -> None:
    home = tmp_path / "registry"
    home.mkdir()
    home.chmod(mode)
    registry = FolderRegistry(home)
    registry.publish("team/x", numbered_adapter(tmp_path / "adapter", 1), publication)

    back_up(registry, tmp_path / "copy")

    def modes(folder: Path) -> dict[str, int]:
        return {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*")}

    copied, own = modes(tmp_path / "copy"), modes(home)
    assert (tmp_path / "copy").stat().st_mode & 0o777 == mode
    assert {"index.sqlite", "blobs"} <= copied.keys() & own.keys()
    assert {name: own[name] for name in copied.keys() & own.keys()} == {
        name: copied[name] for name in copied.keys() & own.keys()
    }
    assert not any(found & 0o777 & ~mode for found in copied.values())


def test_what_happens_while_a_copy_is_made_is_not_in_it(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    for number in (1, 2):
        registry.publish("x", numbered_adapter(tmp_path, number), publication)
    other = FolderRegistry(tmp_path / "registry")
    before = registry.versions("x").items

    def go_on(done: int, total: int) -> None:
        if len(other.adapters().items) == 1:
            other.delete_version("x", 1)
            other.publish("late", numbered_adapter(tmp_path, 3), publication)

    back_up(registry, tmp_path / "copy", go_on)
    copy = FolderRegistry(tmp_path / "copy")
    assert copy.versions("x").items == before
    assert [summary.name for summary in copy.adapters().items] == ["x"]
    assert copy.verify().is_sound
    assert [summary.name for summary in registry.adapters().items] == ["late", "x"]


def test_a_restored_backup_goes_on_where_the_registry_was(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    for number in (1, 2, 3):
        registry.publish("x", numbered_adapter(tmp_path, number), publication)
    registry.set_alias("x", "prod", 1, actor="ann")
    registry.set_alias("x", "prod", 2, actor="ben")
    registry.delete_version("x", 3)
    back_up(registry, tmp_path / "copy")
    copy = FolderRegistry(tmp_path / "copy")
    assert copy.versions("x").items == registry.versions("x").items
    assert copy.adapters().items == registry.adapters().items
    assert copy.alias_history("x", "prod") == registry.alias_history("x", "prod")
    assert copy.rollback_alias("x", "prod", copy.resolve("x@prod").version).version == 1
    assert copy.publish("x", numbered_adapter(tmp_path, 4), publication).version == 4


def test_a_backup_keeps_no_content_of_deleted_versions(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    digest = registry.publish("x", numbered_adapter(tmp_path, 1), publication).digest
    registry.delete_adapter("x")
    back_up(registry, tmp_path / "copy")
    copy = FolderRegistry(tmp_path / "copy")
    assert list(FolderBlobs(tmp_path / "copy").stored()) == []
    with pytest.raises(VersionNotFound, match=digest):
        copy.find(digest)


def test_a_corrupt_blob_is_left_out_and_named(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    version = registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    weights = version.manifest.files[1].digest
    blob = FolderBlobs(tmp_path / "registry").path(weights)
    blob.unlink()
    blob.write_bytes(b"rotten")
    [bad] = back_up(registry, tmp_path / "copy").bad
    assert (bad.digest, bad.problem, bad.versions) == (weights, "corrupt", ("x@1",))
    assert FolderRegistry(tmp_path / "copy").verify().bad[0].problem == "missing"


def test_an_interrupted_backup_leaves_no_folder_that_looks_whole(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    registry.publish("x", numbered_adapter(tmp_path, 1), publication)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(registry, tmp_path / "backups" / "copy", stop)
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_backup_is_not_put_over_anything(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    (tmp_path / "file").write_text("x")
    for target in (tmp_path / "file", tmp_path / "registry"):
        with pytest.raises(NotARegistry, match="new folder"):
            back_up(registry, target)


def test_an_index_that_is_lost_is_not_backed_up(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    (tmp_path / "registry" / "index.sqlite").unlink()
    with pytest.raises(IndexLost):
        back_up(registry, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_any_storage_is_copied_into_any_other(
    tmp_path: Path, any_storage: StoredRegistry, adapter: Callable[..., Path], publication: Publication
) -> None:
    any_storage.publish("team/x", adapter(), publication)
    any_storage.set_alias("team/x", "prod", 1)
    index, blobs = MemoryIndex(), MemoryBlobs()
    assert any_storage.copy_into(index, blobs).versions == 1
    copy = StoredRegistry("copy", index, blobs, [LocalCopies(tmp_path / "copies")])
    assert copy.resolve("team/x@prod") == any_storage.resolve("team/x@prod")
    assert copy.verify().is_sound
    back_up(copy, tmp_path / "folder")
    assert FolderRegistry(tmp_path / "folder").resolve("team/x@prod") == copy.resolve("team/x@prod")
