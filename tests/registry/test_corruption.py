"""Bytes that rot after they were published are never served."""

import io
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from parfocal.registry import BaseContract, FileEntry, FolderRegistry, Publication, Version
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.errors import (
    AdapterNotFound,
    BlobCorrupt,
    BlobMissing,
    DataLoss,
    IndexCorrupt,
    InvalidPublication,
    NotARegistry,
    RegistryTooNew,
)
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.values.digest import hex_of

Write = Callable[..., Path]


@pytest.fixture
def version(registry: FolderRegistry, adapter: Write, publication: Publication) -> Version:
    return registry.publish("x", adapter(), publication)


def blob_of(registry_path: Path, digest: str) -> Path:
    name = hex_of(digest)
    return registry_path / "blobs" / "sha256" / name[:2] / name


def rot(path: Path) -> None:
    """Changes one byte in the middle and keeps the length."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


def test_a_rotten_blob_is_refused_with_both_digests(
    tmp_path: Path, registry: FolderRegistry, version: Version
) -> None:
    weights = version.manifest.files[1]
    rot(blob_of(tmp_path / "registry", weights.digest))
    with pytest.raises(BlobCorrupt) as refused:
        registry.materialise(version.digest)
    assert refused.value.status == "DATA_LOSS"
    assert refused.value.metadata["file"] == "adapter_model.safetensors"
    assert refused.value.metadata["expected"] == weights.digest
    assert refused.value.metadata["actual"] not in ("", weights.digest)
    assert list((tmp_path / "registry" / "materialised" / hex_of(version.digest)).glob("*.safetensors")) == []


def test_a_truncated_blob_is_refused(tmp_path: Path, registry: FolderRegistry, version: Version) -> None:
    blob = blob_of(tmp_path / "registry", version.manifest.files[1].digest)
    data = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(data[:-1])
    with pytest.raises(BlobCorrupt):
        registry.materialise(version.digest)


def test_a_blob_that_is_gone_is_named(tmp_path: Path, registry: FolderRegistry, version: Version) -> None:
    digest = version.manifest.files[0].digest
    blob_of(tmp_path / "registry", digest).unlink()
    with pytest.raises(BlobMissing, match=digest):
        registry.materialise(version.digest)


def test_publishing_again_heals_a_rotten_blob(
    tmp_path: Path, registry: FolderRegistry, version: Version, adapter: Write, publication: Publication
) -> None:
    rot(blob_of(tmp_path / "registry", version.manifest.files[1].digest))
    assert registry.publish("x", adapter(), publication) == version
    assert registry.materialise(version.digest).is_dir()


def test_a_local_copy_outlives_its_blob(tmp_path: Path, registry: FolderRegistry, version: Version) -> None:
    registry.materialise(version.digest)
    rot(blob_of(tmp_path / "registry", version.manifest.files[1].digest))
    assert registry.materialise(version.digest).is_dir()


def test_what_opens_a_local_copy_cannot_reach_the_blob(registry: FolderRegistry, version: Version) -> None:
    weights = registry.materialise(version.digest) / "adapter_model.safetensors"
    with suppress(PermissionError):  # who is not root shares the blob's bytes, and may not write
        weights.write_bytes(b"x" * version.manifest.files[1].size)
    assert registry.verify().is_sound
    assert registry.materialise(version.digest).is_dir()


def test_a_rotten_blob_is_not_sent_to_a_client(
    tmp_path: Path, remote: RemoteRegistry, version: Version
) -> None:
    rot(blob_of(tmp_path / "registry", version.manifest.files[1].digest))
    with pytest.raises(BlobCorrupt):
        remote.materialise(version.digest)


def test_a_manifest_changed_in_the_index_is_refused(
    tmp_path: Path, registry: FolderRegistry, version: Version
) -> None:
    with sqlite3.connect(tmp_path / "registry" / "index.sqlite") as index:
        index.execute("DROP TRIGGER versions_are_not_changed")
        index.execute(
            "UPDATE versions SET manifest = CAST(replace(CAST(manifest AS TEXT), 'q_', 'k_') AS BLOB)"
        )
    index.close()
    with pytest.raises(IndexCorrupt, match=version.digest):
        registry.resolve("x")


def test_an_index_that_is_no_database_is_named(tmp_path: Path, registry: FolderRegistry) -> None:
    del registry
    for path in (tmp_path / "registry").glob("index.sqlite*"):
        path.write_bytes(b"this is no database, whatever its name says" * 50)
    with pytest.raises(IndexCorrupt, match="damaged") as refused:
        FolderRegistry(tmp_path / "registry")
    assert refused.value.metadata["path"] == str(tmp_path / "registry" / "index.sqlite")


def test_an_index_of_a_newer_parfocal_is_left_alone(tmp_path: Path, registry: FolderRegistry) -> None:
    del registry
    with sqlite3.connect(tmp_path / "registry" / "index.sqlite") as index:
        index.execute("PRAGMA user_version = 99")
    index.close()
    with pytest.raises(RegistryTooNew, match="upgrade"):
        FolderRegistry(tmp_path / "registry")


def test_the_index_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "index.sqlite") as index:
        index.execute("CREATE TABLE mine (x)")
        index.execute("PRAGMA user_version = 1")
    index.close()
    with pytest.raises(NotARegistry):
        FolderRegistry(tmp_path)


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(NotARegistry, match=r"thesis\.tex"):
        FolderRegistry(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_mistyped_folder_is_not_made_into_a_registry_to_read_it(tmp_path: Path) -> None:
    with pytest.raises(NotARegistry):
        FolderRegistry(tmp_path / "typo", create=False)
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'nobody'",
        "DELETE FROM events",
        "DELETE FROM versions",
        "UPDATE versions SET digest = 'sha256:0'",
        "UPDATE versions SET version = 9",
        "UPDATE adapters SET next_version = 1",
    ],
)
def test_history_cannot_be_rewritten_through_the_index(
    tmp_path: Path, registry: FolderRegistry, version: Version, statement: str
) -> None:
    registry.set_alias("x", "prod", version.version, actor="ann")
    index = sqlite3.connect(tmp_path / "registry" / "index.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|never"):
        index.execute(statement)
    index.close()


@pytest.fixture
def unreadable(tmp_path: Path, registry: FolderRegistry, adapter: Write, publication: Publication) -> Version:
    """A version whose manifest no reader takes, as an earlier Parfocal let some in; beside a sound one."""
    registry.publish("y", adapter(fill=2), publication)
    version = registry.publish("x", adapter(), publication)
    data = version.manifest.to_bytes().replace(b'"block_size":64', b'"block_size":-1')
    blob = FolderBlobs(tmp_path / "registry").put(io.BytesIO(data))
    index = sqlite3.connect(tmp_path / "registry" / "index.sqlite", isolation_level=None)
    for trigger in ("versions_are_not_changed", "events_are_not_changed"):
        index.execute(f"DROP TRIGGER {trigger}")
    index.execute("UPDATE versions SET digest = ?, manifest = ? WHERE name = 'x'", (blob.digest, data))
    index.execute("UPDATE events SET digest = ? WHERE name = 'x'", (blob.digest,))
    index.close()
    (tmp_path / "registry" / "journal.jsonl").unlink()
    return version


def test_a_version_that_cannot_be_read_does_not_stop_collection_and_keeps_its_files(
    tmp_path: Path, registry: FolderRegistry, unreadable: Version
) -> None:
    with pytest.raises(IndexCorrupt):
        registry.resolve("x")
    assert [summary.name for summary in registry.adapters().items] == ["x", "y"]
    registry.collect_garbage()
    blobs = FolderBlobs(tmp_path / "registry")
    assert all(blobs.size(entry.digest) is not None for entry in unreadable.manifest.files)
    assert registry.materialise(registry.resolve("y").digest).is_dir()


def test_a_version_that_cannot_be_read_can_be_deleted(registry: FolderRegistry, unreadable: Version) -> None:
    registry.delete_version("x", 1)
    registry.delete_adapter("x")
    assert registry.collect_garbage(most=True).freed_bytes > 0


def test_what_cannot_be_read_back_is_not_published(
    registry: FolderRegistry, adapter: Write, base: BaseContract
) -> None:
    for size in (-1, -(1 << 40)):
        broken = replace(base, quantisation=replace(base.quantisation, block_size=size))
        with pytest.raises(InvalidPublication, match="block_size"):
            registry.publish("x", adapter(), Publication(broken))
    with pytest.raises(AdapterNotFound):
        registry.resolve("x")


@pytest.mark.parametrize("path", ["adapter_model.bin", "modeling_evil.py", "tokenizer.json"])
def test_a_registry_in_a_folder_writes_no_file_that_no_adapter_has(
    tmp_path: Path, registry: FolderRegistry, version: Version, path: str
) -> None:
    blobs = FolderBlobs(tmp_path / "registry")
    evil = blobs.put(io.BytesIO(b"evil"))
    files = (*version.manifest.files, FileEntry(path, evil.size, evil.digest))
    manifest = replace(version.manifest, files=files)
    index = SqliteIndex(tmp_path / "registry" / "index.sqlite", lambda: None)
    index.add_version("x", manifest.to_bytes())
    index.close()
    with pytest.raises(DataLoss):
        registry.materialise(manifest.digest)
    assert list((tmp_path / "registry").glob("materialised/*/*")) == []
