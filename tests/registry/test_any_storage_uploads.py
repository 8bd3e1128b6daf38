"""What uploads file by file promise over every index and every store of blobs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from parfocal.registry import FileEntry, FolderRegistry, Publication, StoredRegistry
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.errors import BlobsNotUploaded
from parfocal.registry.publishing import Uploaded
from parfocal.registry.values import digest_of

Write = Callable[..., Path]
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
HOUR = 3600.0


def entry(file: Path) -> FileEntry:
    data = file.read_bytes()
    return FileEntry(file.name, len(data), digest_of(data))


def nobody(digest: str) -> bool:
    return False


def everybody(digest: str) -> bool:
    return True


@pytest.fixture
def folder(adapter: Write) -> Path:
    return adapter()


def sent(registry: StoredRegistry, folder: Path, owner: str) -> Uploaded:
    """Uploads the weights; the configuration comes with the order to publish."""
    copy = shutil.copy(folder / WEIGHTS, folder.parent / f"sent-by-{owner}")
    registry.receive(Path(copy), entry(folder / WEIGHTS), owner, HOUR)
    return order(folder, owner)


def order(folder: Path, owner: str) -> Uploaded:
    files = entry(folder / CONFIG), entry(folder / WEIGHTS)
    return Uploaded(files, owner, {CONFIG: (folder / CONFIG).read_bytes()})


def test_uploaded_files_become_the_version_that_the_folder_would(
    any_storage: StoredRegistry, folder: Path, publication: Publication
) -> None:
    version = any_storage.publish_uploaded("x", sent(any_storage, folder, "ann"), publication)
    assert any_storage.publish("y", folder, publication).digest == version.digest
    assert any_storage.verify().is_sound
    assert any_storage.publish_uploaded("x", order(folder, "ann"), publication) == version


def test_what_one_has_uploaded_nobody_else_can_use(
    any_storage: StoredRegistry, folder: Path, publication: Publication
) -> None:
    sent(any_storage, folder, "ann")
    weights = [entry(folder / WEIGHTS)]
    assert any_storage.missing(weights, "ben", HOUR, nobody) == tuple(weights)
    with pytest.raises(BlobsNotUploaded):
        any_storage.publish_uploaded("x", order(folder, "ben"), publication)
    assert any_storage.missing(weights, "ann", HOUR, nobody) == ()
    # Who may read it need not send it.
    assert any_storage.missing(weights, "ben", HOUR, everybody) == ()
    assert any_storage.publish_uploaded("x", order(folder, "ben"), publication).version == 1


def test_a_blob_that_is_written_to_after_it_came_is_read_again_and_not_published(
    tmp_path: Path, folder: Path, publication: Publication
) -> None:
    blobs = FolderBlobs(tmp_path / "registry")
    registry = FolderRegistry(tmp_path / "registry", blobs=blobs)
    uploaded = sent(registry, folder, "ann")
    weights = blobs.path(entry(folder / WEIGHTS).digest)
    weights.chmod(0o600)
    with weights.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x11")
    os.utime(weights, ns=(0, 1))  # a disk's clock may be too coarse to tell both writes from each other
    with pytest.raises(BlobsNotUploaded, match=WEIGHTS):
        registry.publish_uploaded("x", uploaded, publication)
    assert len(list((tmp_path / "registry" / "quarantine").iterdir())) == 1


def test_a_file_of_another_size_is_missing(any_storage: StoredRegistry, folder: Path) -> None:
    sent(any_storage, folder, "ann")
    weights = entry(folder / WEIGHTS)
    lying = FileEntry(weights.path, weights.size + 1, weights.digest)
    assert any_storage.missing([lying], "ann", HOUR, everybody) == (lying,)


def test_collection_leaves_what_is_leased_and_takes_what_is_not(
    any_storage: StoredRegistry, folder: Path, publication: Publication
) -> None:
    uploaded = sent(any_storage, folder, "ann")
    assert any_storage.collect_garbage(most=True, grace_s=0.0).blobs == ()
    any_storage.publish_uploaded("x", uploaded, publication)
    any_storage.delete_version("x", 1)
    # Found in time, the deleted version's weights stay for who will publish them again.
    assert any_storage.missing([entry(folder / WEIGHTS)], "ann", HOUR, everybody) == ()
    freed = any_storage.collect_garbage(most=True, grace_s=0.0)
    assert entry(folder / WEIGHTS).digest not in {blob.digest for blob in freed.blobs}
    assert len(freed.blobs) == 2
    assert any_storage.publish_uploaded("x", uploaded, publication).version == 2
    assert any_storage.verify().is_sound
