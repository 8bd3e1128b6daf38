"""Verifying finds every byte that is wrong, and says whom it concerns; over every kind of storage."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from fakes.registry.publisher import numbered_adapter
from parfocal.registry import FolderRegistry, Publication, StoredRegistry, rebuild_folder
from parfocal.registry.blobs import FolderBlobs

Write = Callable[..., Path]


def test_a_sound_registry_is_read_whole(
    any_storage: StoredRegistry, adapter: Write, publication: Publication
) -> None:
    told: list[tuple[int, int]] = []
    first = any_storage.publish("one", adapter(fill=1), publication)
    any_storage.publish("two", adapter(fill=1), publication)
    any_storage.publish("two", adapter(fill=2), publication)
    found = any_storage.verify(lambda done, total: told.append((done, total)))
    assert found.is_sound
    # Both share their configuration: two weights, two manifests, one configuration.
    assert (found.versions, found.blobs) == (3, 5)
    assert found.size_bytes > first.manifest.size
    assert told == sorted(told)
    assert told[-1] == (found.size_bytes, found.size_bytes)


def test_every_version_that_shares_a_bad_blob_is_named(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    folder = numbered_adapter(tmp_path, 1)
    version = registry.publish("one", folder, publication)
    registry.publish("team/two", folder, publication)
    registry.publish("one", numbered_adapter(tmp_path, 2), publication)
    blobs = FolderBlobs(tmp_path / "registry")
    blobs.remove(version.manifest.files[1].digest)
    manifest = blobs.path(version.digest)
    manifest.unlink()
    manifest.write_bytes(b"{}")
    found = {bad.digest: bad for bad in registry.verify().bad}
    assert found[version.digest].problem == "corrupt"
    assert found[version.digest].versions == ("one@1", "team/two@1")
    # The weights are those of every adapter here.
    assert found[version.manifest.files[1].digest].versions == ("one@1", "one@2", "team/two@1")


def test_files_of_deleted_versions_are_nobodys_business(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    version = registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    registry.delete_version("x", 1)
    FolderBlobs(tmp_path / "registry").remove(version.digest)
    assert registry.verify().is_sound


def test_a_journal_with_damaged_lines_is_told_of_and_written_anew(
    tmp_path: Path, publication: Publication
) -> None:
    registry = FolderRegistry(tmp_path / "registry")
    for number in (1, 2, 3):
        registry.publish("x", numbered_adapter(tmp_path, number), publication)
    journal = tmp_path / "registry" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + lines[1].replace(b"x", b"y", 1) + lines[2])
    [problem] = registry.verify().problems
    assert "journal" in problem
    del registry
    rebuild_folder(tmp_path / "registry")
    assert journal.read_bytes() == b"".join(lines)
    assert FolderRegistry(tmp_path / "registry").verify().is_sound


def test_an_index_that_contradicts_its_history_is_told_of(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    index = sqlite3.connect(tmp_path / "registry" / "index.sqlite", isolation_level=None)
    index.execute("DROP TRIGGER versions_are_not_changed")
    index.execute("UPDATE versions SET deleted_at = '2026-01-01'")
    index.close()
    assert "contradicts" in registry.verify().problems[0]
