"""Frees what no live version needs. Knows which blobs and folders are live, not why versions were deleted."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.blobs import AdapterFolders, Blob, FolderBlobs
from parfocal.registry.values import PREFIX, Manifest


@dataclass(frozen=True, slots=True)
class Garbage:
    """What a collection freed, or would free when `dry_run`."""

    blobs: tuple[Blob, ...]
    folders: tuple[Path, ...]
    freed_bytes: int
    dry_run: bool


def collect(
    live: Iterable[tuple[str, Manifest]], blobs: FolderBlobs, folders: AdapterFolders, dry_run: bool
) -> Garbage:
    """Removes the blobs and the local folders that no `live` (digest, manifest) needs; raises OSError.

    The caller holds the registry's lock alone, so that no publish is between its blobs and its index entry.
    """
    versions: set[str] = set()
    needed: set[str] = set()
    for digest, manifest in live:
        versions.add(digest)
        needed.update(entry.digest for entry in manifest.files)
    needed |= versions
    dead_blobs = tuple(blob for blob in blobs.stored() if blob.digest not in needed)
    dead_folders = tuple(path for path in folders.held() if PREFIX + path.name not in versions)
    freed = sum(blob.size for blob in dead_blobs) + sum(_size(path) for path in dead_folders)
    if not dry_run:
        for blob in dead_blobs:
            blobs.remove(blob.digest)
        for path in dead_folders:
            shutil.rmtree(path)
    return Garbage(dead_blobs, dead_folders, freed, dry_run)


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
