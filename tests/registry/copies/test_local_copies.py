"""Local copies are bounded, and share a blob's bytes only where nobody can write through them."""

import os
from pathlib import Path

import pytest

from fakes.registry.publisher import numbered_adapter, small_publication
from fakes.registry.user_trouble import as_user
from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.copies import LocalCopies
from parfocal.registry.errors import BlobCorrupt
from parfocal.registry.values import FileEntry, Manifest, digest_of

WEIGHTS = "adapter_model.safetensors"


def digest(number: int) -> str:
    return digest_of(str(number).encode())


def put(copies: LocalCopies, number: int, size: int, age_s: float) -> Path:
    """Makes a copy of that size that was asked for so long ago."""
    data = bytes(size)
    copies.place(digest(number), FileEntry("file", size, digest_of(data)), [data])
    folder = copies.path(digest(number))
    seen = folder.stat().st_mtime - age_s
    os.utime(folder, (seen, seen))
    return folder


def test_beyond_the_limit_those_not_asked_for_longest_go(tmp_path: Path) -> None:
    copies = LocalCopies(tmp_path, limit_bytes=250)
    oldest, old = put(copies, 1, 100, age_s=90_000), put(copies, 2, 100, age_s=80_000)
    new = put(copies, 3, 100, age_s=0)
    assert [folder.exists() for folder in (oldest, old, new)] == [False, True, True]


def test_what_was_asked_for_just_now_stays_beyond_any_limit(tmp_path: Path) -> None:
    copies = LocalCopies(tmp_path, limit_bytes=10)
    folders = [put(copies, number, 100, age_s=0) for number in range(3)]
    assert all(folder.exists() for folder in folders)


def test_asking_for_a_copy_makes_it_young(tmp_path: Path, publication: Publication) -> None:
    copies = LocalCopies(tmp_path, limit_bytes=250)
    asked, other = put(copies, 1, 100, age_s=90_000), put(copies, 2, 100, age_s=80_000)
    entry = FileEntry("file", 100, digest_of(bytes(100)))
    files = Manifest(1, (entry,), None, None, None, ())  # type: ignore[arg-type]
    assert copies.missing(digest(1), files) == ()
    put(copies, 3, 100, age_s=0)
    assert (asked.exists(), other.exists()) == (True, False)


def test_it_looks_again_after_placing_a_64th_of_the_limit(tmp_path: Path) -> None:
    ours, theirs = LocalCopies(tmp_path, limit_bytes=6400), LocalCopies(tmp_path)
    put(ours, 0, 1, age_s=0)
    old = put(theirs, 1, 6400, age_s=90_000)
    put(ours, 2, 100, age_s=0)
    assert old.exists()
    put(ours, 3, 1, age_s=0)
    assert not old.exists()


def test_a_linked_file_is_verified_like_any_other(tmp_path: Path) -> None:
    copies = LocalCopies(tmp_path)
    source = tmp_path / "source"
    source.write_bytes(b"rotten")

    def link(target: Path) -> bool:
        os.link(source, target)
        return True

    with pytest.raises(BlobCorrupt):
        copies.link(digest(1), FileEntry("file", 6, digest_of(b"sound.")), link)
    assert list(copies.path(digest(1)).iterdir()) == []
    assert copies.link(digest(1), FileEntry("file", 6, digest_of(b"rotten")), link)
    assert (copies.path(digest(1)) / "file").stat().st_ino == source.stat().st_ino


def test_a_file_that_cannot_be_linked_is_left_to_copying(tmp_path: Path) -> None:
    copies = LocalCopies(tmp_path)
    assert not copies.link(digest(1), FileEntry("file", 1, digest_of(b"x")), lambda target: False)
    assert list(copies.path(digest(1)).iterdir()) == []


def test_whoever_may_write_to_any_file_gets_copies(tmp_path: Path, publication: Publication) -> None:
    """Root's writes go through any mode; so do those of whoever made a blob writable."""
    registry = FolderRegistry(tmp_path / "registry")
    version = registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    blob = FolderBlobs(tmp_path / "registry").path(version.manifest.files[1].digest)
    blob.chmod(0o644)
    copy = registry.materialise(version.digest) / WEIGHTS
    assert copy.stat().st_ino != blob.stat().st_ino
    copy.chmod(0o644)
    copy.write_bytes(b"mine")
    assert registry.verify().is_sound


@pytest.mark.skipif(os.geteuid() != 0, reason="this user may not become another")
def test_whoever_may_not_write_to_a_blob_shares_its_bytes(open_path: Path) -> None:
    publication, adapter = small_publication(open_path), numbered_adapter(open_path, 1)
    open_path.chmod(0o777)

    def share() -> dict[str, object]:
        registry = FolderRegistry(open_path / "registry")
        version = registry.publish("x", adapter, publication)
        copy = registry.materialise(version.digest) / WEIGHTS
        blob = FolderBlobs(open_path / "registry").path(version.manifest.files[1].digest)
        is_shared = copy.stat().st_ino == blob.stat().st_ino
        with pytest.raises(PermissionError):
            copy.write_bytes(b"mine")
        return {"shared": is_shared, "again": registry.materialise(version.digest) == copy.parent}

    assert as_user(4001, 4001, share) == {"shared": True, "again": True}
