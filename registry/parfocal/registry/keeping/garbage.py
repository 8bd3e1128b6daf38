"""Frees what no live version needs. Knows which blobs and copies are live, not why versions were deleted."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.blobs import Blob, BlobStore
from parfocal.registry.copies import LocalCopies, own_bytes
from parfocal.registry.errors import InvalidManifest, RegistryTooNew
from parfocal.registry.index import Index
from parfocal.registry.keeping.stored_manifests import manifest_in
from parfocal.registry.values import PREFIX, Manifest

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Garbage:
    """What a collection freed, or would free when `dry_run`.

    `unindexed` are whole versions that the index has never heard of, by their digests: left by a publish
    killed at its last moment, or once known to an index that was lost. They are kept unless requested.
    """

    blobs: tuple[Blob, ...]
    folders: tuple[Path, ...]
    freed_bytes: int
    dry_run: bool
    unindexed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Collection:
    """What to collect: nothing yet when `dry_run`; all local `copies`; versions that are `unindexed`."""

    dry_run: bool = False
    copies: bool = False
    unindexed: bool = False


def collect(index: Index, blobs: BlobStore, copies: LocalCopies, asked: Collection) -> Garbage:
    """Removes the blobs and the local copies that no live version needs; raises StorageError or OSError.

    The caller is in `index.collecting()`, so that no publish is between its blobs and its index entry.
    """
    versions, needed = _needed(index)
    dead = {blob.digest: blob for blob in blobs.stored() if blob.digest not in needed}
    unindexed = _unindexed(index, blobs, dead)
    if not asked.unindexed:
        for digest, manifest in unindexed.items():
            for kept in (digest, *(entry.digest for entry in manifest.files)):
                dead.pop(kept, None)
    folders = tuple(path for path in copies.held() if asked.copies or PREFIX + path.name not in versions)
    freed = sum(blob.size for blob in dead.values()) + sum(map(own_bytes, folders))
    if not asked.dry_run:
        for digest in dead:
            blobs.remove(digest)
        for path in folders:
            shutil.rmtree(path)
    return Garbage(tuple(dead.values()), folders, freed, asked.dry_run, tuple(unindexed))


def _needed(index: Index) -> tuple[set[str], set[str]]:
    """The digests of live versions, and of every blob that they need.

    In an unreadable manifest, anything that looks like a digest is needed: what is not understood is kept.
    """
    versions: set[str] = set()
    needed: set[str] = set()
    for digest, data in index.manifests():
        versions.add(digest)
        try:
            needed.update(entry.digest for entry in Manifest.from_bytes(data).files)
        except (InvalidManifest, RegistryTooNew):
            needed.update(found.decode() for found in _DIGEST.findall(data))
    return versions, needed | versions


def _unindexed(index: Index, blobs: BlobStore, dead: dict[str, Blob]) -> dict[str, Manifest]:
    """The manifests among dead blobs that the index never knew and whose files are all there."""
    found: dict[str, Manifest] = {}
    for blob in dead.values():
        if index.is_known(blob.digest):
            continue
        manifest = manifest_in(blobs, blob)
        if manifest is not None and all(blobs.size(entry.digest) is not None for entry in manifest.files):
            found[blob.digest] = manifest
    return found
