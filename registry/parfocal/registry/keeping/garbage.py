"""Frees what no live version needs. Knows which blobs and copies are live, not why versions were deleted."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from parfocal.registry.blobs import Blob, BlobStore
from parfocal.registry.copies import LocalCopies, own_bytes
from parfocal.registry.index import Index
from parfocal.registry.keeping.stored_manifests import manifest_bytes, manifest_with, needed_by
from parfocal.registry.keeping.verification import holders_of
from parfocal.registry.values import PREFIX, digest_of

# What every manifest holds, of any schema, and no configuration of an adapter.
_SCHEMA = b'"schema":'

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Garbage:
    """What a collection freed, or would free when `dry_run`.

    `unindexed` are versions that the index has never heard of, by their digests: left by a publish killed at
    its last moment, or once known to an index that was lost. They are kept unless requested.
    `unreadable` are live versions (`name@number`) whose manifest cannot be read: what it may name is kept.
    `is_most` when more than half of the versions or of the bytes stored would go: then it is a dry run,
    unless requested.
    """

    blobs: tuple[Blob, ...]
    folders: tuple[Path, ...]
    freed_bytes: int
    dry_run: bool
    unindexed: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    is_most: bool = False


@dataclass(frozen=True, slots=True)
class Collection:
    """What to collect: nothing yet when `dry_run`; all local `copies`; versions that are `unindexed`.

    More than half of what is stored only where `most` is given. Nothing that was stored in the last
    `grace_s` seconds, by the store's clock and this machine's; what the clocks say can only keep more.
    """

    dry_run: bool = False
    copies: bool = False
    unindexed: bool = False
    most: bool = False
    grace_s: float = 0.0


def collect(
    index: Index, blobs: BlobStore, copies: LocalCopies, asked: Collection, clock: Clock = _now
) -> Garbage:
    """Removes the blobs and the local copies that no live version needs; raises StorageError or OSError.

    The caller is in `index.collecting()`, so that no publish is between its blobs and its index entry. What
    is leased is kept as if a live version needed it. `clock` is this machine's: of a store that has its own,
    the earlier of both counts, so that a clock which went forward makes nothing old.
    """
    leased = index.leased()
    live = _live(index, blobs)
    _add_leased(live, leased, blobs)
    versions = live.versions
    stored = list(blobs.stored())
    dead: dict[str, Blob] = {}
    if not live.lost:
        dead = {blob.digest: blob for blob in stored if blob.digest not in live.needed}
    if dead and asked.grace_s:
        young = _earlier(clock(), blobs.moment()) - timedelta(seconds=asked.grace_s)
        dead = {digest: blob for digest, blob in dead.items() if _is_older(blob, young)}
    unindexed = _unindexed(index, blobs, dead)
    if not asked.unindexed:
        for digest, files in unindexed.items():
            for kept in (digest, *files):
                dead.pop(kept, None)
    held = versions | leased
    folders = tuple(path for path in copies.held() if asked.copies or PREFIX + path.name not in held)
    freed = sum(blob.size for blob in dead.values()) + sum(map(own_bytes, folders))
    gone = sum(digest in unindexed or index.is_known(digest) for digest in dead)
    is_most = _is_most(dead.values(), stored) or gone > len(versions)
    dry_run = asked.dry_run or (is_most and not asked.most)
    if not dry_run:
        for digest in dead:
            blobs.remove(digest)
        for path in folders:
            shutil.rmtree(path)
    unreadable = holders_of(index, live.unreadable | live.lost)
    return Garbage(tuple(dead.values()), folders, freed, dry_run, tuple(unindexed), unreadable, is_most)


def _is_older(blob: Blob, moment: datetime) -> bool:
    """Whether a blob was stored before; one that says nothing of its age never was."""
    return blob.stored_at is not None and blob.stored_at < moment


def _earlier(here: datetime, there: datetime | None) -> datetime:
    return here if there is None else min(here, there)


def _is_most(dead: Iterable[Blob], stored: Iterable[Blob]) -> bool:
    return 2 * sum(blob.size for blob in dead) > sum(blob.size for blob in stored)


@dataclass(frozen=True, slots=True)
class _Live:
    """The digests of live versions, of every blob that they need, and of those that cannot be read.

    Of a `lost` manifest nobody can say what its version needs.
    """

    versions: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)


def _live(index: Index, blobs: BlobStore) -> _Live:
    live = _Live()
    for digest, stored in index.manifests():
        live.versions.add(digest)
        live.needed.add(digest)
        # What has rotted in the index may be whole among the blobs.
        whole = stored if digest_of(stored) == digest else manifest_with(blobs, digest)
        if whole is None:
            live.lost.add(digest)
            continue
        needed = needed_by(whole)
        live.needed.update(needed.digests)
        if needed.fault:
            live.unreadable.add(digest)
    live.needed.update(digest for digest, _ in index.signature_bundles())
    return live


def _add_leased(live: _Live, leased: set[str], blobs: BlobStore) -> None:
    """Adds the blobs that are leased and, where one is a manifest, the files that it names."""
    for digest in leased - live.needed:
        data = manifest_with(blobs, digest)
        if data is not None and _SCHEMA in data:
            live.needed.update(needed_by(data).digests)
    live.needed.update(leased)


def _unindexed(index: Index, blobs: BlobStore, dead: dict[str, Blob]) -> dict[str, frozenset[str]]:
    """The files of the manifests among dead blobs that the index never knew, by the manifests' digests."""
    found: dict[str, frozenset[str]] = {}
    for blob in dead.values():
        data = None if index.is_known(blob.digest) else manifest_bytes(blobs, blob)
        files = frozenset[str]() if data is None or _SCHEMA not in data else needed_by(data).digests
        if files:
            found[blob.digest] = files
    return found
