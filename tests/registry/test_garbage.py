"""Garbage collection: frees what nothing needs, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.disk import FolderLock
from parfocal.registry.errors import RegistryBusy, VersionNotFound

Write = Callable[..., Path]


def blobs_in(path: Path) -> set[str]:
    return {blob.name for blob in path.glob("registry/blobs/sha256/*/*")}


def test_a_deleted_version_is_freed_and_the_others_stay_whole(
    tmp_path: Path, registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    kept = registry.publish("x", adapter(fill=1), publication)
    dropped = registry.publish("x", adapter(fill=2), publication)
    registry.materialise(dropped.digest)
    registry.delete_version("x", 2)
    before = blobs_in(tmp_path)
    garbage = registry.collect_garbage()
    # Both share their configuration, so of the deleted one only weights and manifest go.
    assert len(garbage.blobs) == 2
    assert {blob.digest.removeprefix("sha256:") for blob in garbage.blobs} == before - blobs_in(tmp_path)
    assert len(garbage.folders) == 1
    assert garbage.freed_bytes > dropped.manifest.files[1].size
    assert registry.materialise(kept.digest).is_dir()


def test_a_dry_run_only_tells(
    tmp_path: Path, registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    registry.publish("x", adapter(), publication)
    registry.delete_version("x", 1)
    before = blobs_in(tmp_path)
    told = registry.collect_garbage(dry_run=True)
    assert (told.dry_run, blobs_in(tmp_path)) == (True, before)
    done = registry.collect_garbage(most=True)
    assert (done.blobs, done.freed_bytes) == (told.blobs, told.freed_bytes)
    assert blobs_in(tmp_path) == set()


def test_content_that_another_name_still_has_is_kept(
    registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    digest = registry.publish("one", folder, publication).digest
    registry.publish("two", folder, publication)
    registry.delete_version("one", 1)
    assert registry.collect_garbage().blobs == ()
    assert registry.materialise(digest).is_dir()


def test_a_deleted_version_can_be_loaded_again_until_it_is_collected(
    tmp_path: Path, registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    digest = registry.publish("x", adapter(), publication).digest
    registry.delete_version("x", 1)
    assert registry.materialise(digest).is_dir()
    registry.collect_garbage(most=True)
    with pytest.raises(VersionNotFound):
        registry.materialise(digest)


def test_what_a_failed_publish_left_is_freed(
    tmp_path: Path, registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    kept = registry.publish("x", adapter(), publication)
    stray = tmp_path / "registry" / "blobs" / "sha256" / "00" / ("0" * 64)
    stray.parent.mkdir()
    stray.write_bytes(b"x" * 10)
    assert registry.collect_garbage().freed_bytes == 10
    assert not stray.exists()
    assert registry.materialise(kept.digest).is_dir()


def test_files_that_are_no_blobs_are_left_alone(tmp_path: Path, registry: FolderRegistry) -> None:
    note = tmp_path / "registry" / "blobs" / "sha256" / "00" / "README"
    note.parent.mkdir(parents=True)
    note.write_text("x")
    assert registry.collect_garbage().blobs == ()
    assert note.exists()


def test_what_a_killed_publish_left_is_swept(tmp_path: Path, registry: FolderRegistry) -> None:
    staging = tmp_path / "registry" / "staging"
    (staging / "dead").mkdir(parents=True)
    (staging / "dead" / "blob").write_bytes(b"x")
    (staging / "dead.lock").touch()
    registry.collect_garbage(dry_run=True)
    assert (staging / "dead").exists()
    registry.collect_garbage()
    assert list(staging.iterdir()) == []


def test_collection_waits_for_a_publish_under_way(
    tmp_path: Path, registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    """The lock is held from the first blob to the index entry, when the progress of the files is reported."""
    held: list[bool] = []

    def look(done: int, total: int) -> None:
        try:
            with FolderLock(tmp_path / "registry" / "lock", patience_s=0).exclusive():
                held.append(False)
        except RegistryBusy:
            held.append(True)

    registry.publish("x", adapter(), publication, look)
    assert held
    assert all(held)
