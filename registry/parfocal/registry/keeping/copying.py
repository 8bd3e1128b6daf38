"""Copies a registry as it is at one moment into another index and other blobs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from parfocal.registry.blobs import BlobStore
from parfocal.registry.errors import BlobCorrupt, BlobMissing
from parfocal.registry.index import Index
from parfocal.registry.keeping.restoring import mend
from parfocal.registry.keeping.stored_manifests import Needed, manifest_with, needed_by
from parfocal.registry.keeping.verification import BadBlob, every_event
from parfocal.registry.values import Event, Standing, digest_of

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied, and the blobs that were missing or corrupt.

    `unreadable` are versions (`name@number`) that were copied as they are, though nobody can read them.
    """

    versions: int
    aliases: int
    size_bytes: int
    bad: tuple[BadBlob, ...]
    unreadable: tuple[str, ...] = ()


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
    standing = Standing.after(mended.events)
    whole = {**manifests, **_bundles(index, blobs, standing)}
    named = {digest: needed_by(data) for digest, data in manifests.items()}
    needed = {digest: len(data) for digest, data in whole.items()} | _files(named.values(), blobs)
    total, done, bad = sum(needed.values()), 0, []
    holders = _holders(standing, named)
    for digest, size in needed.items():
        problem = _copy(digest, blobs, new_blobs)
        if problem:
            bad.append(BadBlob(digest, problem, holders.get(digest, ())))
        done += size
        if progress is not None:
            progress(done, total)
    new_index.restore(mended.events, whole)
    new_blobs.journal.extend(lambda after: mended.events[after:])
    bad += [BadBlob("", "missing", (version,)) for version in mended.lost]
    unreadable = (holders[digest] for digest, needs in named.items() if needs.fault and digest in holders)
    kept = tuple(sorted(chain.from_iterable(unreadable)))
    return Copied(len(standing.versions), len(standing.aliases), total, tuple(bad), kept)


def _manifests(index: Index, blobs: BlobStore, events: list[Event]) -> dict[str, bytes]:
    """The manifests of what is live after `events`; of what was deleted since, only the blob is left."""
    stored = dict(index.manifests())
    found: dict[str, bytes] = {}
    for digest in Standing.after(events).versions.values():
        data = stored.get(digest)
        if data is None or digest_of(data) != digest:
            data = manifest_with(blobs, digest)
        if data is not None:
            found[digest] = data
    return found


def _bundles(index: Index, blobs: BlobStore, standing: Standing) -> dict[str, bytes]:
    """The signatures of what is live, empty where they are gone or rotten everywhere."""
    stored = dict(index.signature_bundles())
    found: dict[str, bytes] = {}
    for digests in standing.signatures.values():
        for digest in digests:
            data = stored.get(digest, b"")
            found[digest] = data if digest_of(data) == digest else manifest_with(blobs, digest) or b""
    return found


def _files(named: Iterable[Needed], blobs: BlobStore) -> dict[str, int]:
    """The digest and the size of every file that is needed."""
    found: dict[str, int] = {}
    for needs in named:
        sizes = {digest: blobs.size(digest) for digest in needs.digests}
        # An unreadable manifest may hold digests of other things, such as of the training data.
        found |= {each: size or 0 for each, size in sizes.items() if size is not None or not needs.fault}
    return found


def _holders(standing: Standing, named: Mapping[str, Needed]) -> dict[str, tuple[str, ...]]:
    """Which live versions need which blob."""
    holders: dict[str, set[str]] = {}
    for (name, number), digest in standing.versions.items():
        for needed in (digest, *named[digest].digests):
            holders.setdefault(needed, set()).add(f"{name}@{number}")
    for (name, number), signatures in standing.signatures.items():
        for signature in signatures:
            holders.setdefault(signature, set()).add(f"{name}@{number}")
    return {digest: tuple(sorted(versions)) for digest, versions in holders.items()}


def _copy(digest: str, source: BlobStore, target: BlobStore) -> str:
    """Copies a blob; returns `missing` or `corrupt` if it cannot."""
    try:
        with source.open(digest) as file:
            copied = target.put(file)
    except BlobMissing:
        return "missing"
    except BlobCorrupt:
        return "corrupt"
    if copied.digest == digest:
        return ""
    target.remove(copied.digest)
    return "corrupt"
