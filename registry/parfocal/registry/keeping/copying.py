"""Copies a registry as it is at one moment into another index and other blobs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from parfocal.registry.blobs import Blob, BlobStore
from parfocal.registry.errors import BlobMissing
from parfocal.registry.index import Index
from parfocal.registry.keeping.restoring import mend
from parfocal.registry.keeping.stored_manifests import manifest_bytes
from parfocal.registry.keeping.verification import BadBlob, every_event
from parfocal.registry.values import Event, Manifest, Standing

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied, and the blobs that were missing or corrupt."""

    versions: int
    aliases: int
    size_bytes: int
    bad: tuple[BadBlob, ...]


def copy_registry(
    source: tuple[Index, BlobStore], target: tuple[Index, BlobStore], progress: Progress | None = None
) -> Copied:
    """Copies every live version, every alias and the whole history; raises StorageError.

    The caller is in the source's `publishing()`, so that no blob is collected. The events up to any one are
    consistent, whatever is published meanwhile: a blob is stored before the event that needs it.
    """
    (index, blobs), (new_index, new_blobs) = source, target
    events = list(every_event(index))
    manifests = _manifests(index, blobs, events)
    mended = mend(events, manifests)
    needed = _needed(manifests)
    total, done, bad = sum(needed.values()), 0, []
    holders = _holders(mended.events, manifests)
    for digest, size in needed.items():
        problem = _copy(digest, blobs, new_blobs)
        if problem:
            bad.append(BadBlob(digest, problem, holders.get(digest, ())))
        done += size
        if progress is not None:
            progress(done, total)
    new_index.restore(mended.events, manifests)
    new_blobs.journal.extend(lambda after: mended.events[after:])
    bad += [BadBlob("", "missing", (version,)) for version in mended.lost]
    standing = Standing.after(mended.events)
    return Copied(len(standing.versions), len(standing.aliases), total, tuple(bad))


def _manifests(index: Index, blobs: BlobStore, events: list[Event]) -> dict[str, bytes]:
    """The manifests of what is live after `events`; of what was deleted since, only the blob is left."""
    stored = dict(index.manifests())
    found: dict[str, bytes] = {}
    for digest in Standing.after(events).versions.values():
        data = stored.get(digest)
        if data is None:
            data = manifest_bytes(blobs, Blob(digest, blobs.size(digest) or 0))
        if data is not None:
            found[digest] = data
    return found


def _needed(manifests: Mapping[str, bytes]) -> dict[str, int]:
    """The digest and the size of every blob that versions with these manifests need."""
    needed = {digest: len(data) for digest, data in manifests.items()}
    for data in manifests.values():
        needed.update((entry.digest, entry.size) for entry in Manifest.from_bytes(data).files)
    return needed


def _holders(events: tuple[Event, ...], manifests: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
    """Which live versions need which blob."""
    holders: dict[str, set[str]] = {}
    for (name, number), digest in Standing.after(events).versions.items():
        files = Manifest.from_bytes(manifests[digest]).files
        for needed in (digest, *(entry.digest for entry in files)):
            holders.setdefault(needed, set()).add(f"{name}@{number}")
    return {digest: tuple(sorted(versions)) for digest, versions in holders.items()}


def _copy(digest: str, source: BlobStore, target: BlobStore) -> str:
    """Copies a blob; returns `missing` or `corrupt` if it cannot."""
    try:
        with source.open(digest) as file:
            copied = target.put(file)
    except BlobMissing:
        return "missing"
    if copied.digest == digest:
        return ""
    target.remove(copied.digest)
    return "corrupt"
