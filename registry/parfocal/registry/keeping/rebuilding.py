"""Rebuilds a lost or corrupt index from what lies beside it: the journal, and manifests among the blobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parfocal.registry.blobs import BlobStore
from parfocal.registry.index import Index
from parfocal.registry.keeping.restoring import Mended, mend, published
from parfocal.registry.keeping.stored_manifests import manifest_bytes, manifest_in
from parfocal.registry.values import Event, Standing, digest_of

_NAMESPACE = "recovered"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What an index was rebuilt to: how many live versions and aliases, and what was lost or recovered.

    `lost` versions (`name@number`) have no manifest any more. `recovered` ones are in no history that is
    left, only among the blobs, and have a name after their digest.
    """

    versions: int
    aliases: int
    lost: tuple[str, ...]
    recovered: tuple[str, ...]


def surviving(
    blobs: BlobStore, events: Sequence[Event], manifests: Mapping[str, bytes]
) -> tuple[list[Event], Mapping[str, bytes]]:
    """The events that journal and old index hold together, and the old index's manifests and signatures.

    Where they differ the journal counts: such an index is another registry's.
    """
    journal = {event.sequence: event for event in blobs.journal.read()}
    index = {event.sequence: event for event in events}
    common = journal.keys() & index.keys()
    if journal:
        is_ours = bool(common) and all(journal[number] == index[number] for number in common)
    else:
        is_ours = any(event.digest and blobs.size(event.digest) is not None for event in events)
    if not is_ours:
        index, manifests = {}, {}
    return [event for _, event in sorted({**index, **journal}.items())], manifests


def plan(events: Sequence[Event], blobs: BlobStore, rescued: Mapping[str, bytes]) -> "Plan":
    """What an index would be rebuilt to from events that are left; raises StorageError.

    `rescued` are manifests and signatures that the damaged index still holds, for where the blob is gone.
    """
    manifests = {digest: data for digest, data in rescued.items() if digest_of(data) == digest}
    told = {event.digest for event in events}
    recovered: list[Event] = []
    for blob in blobs.stored():
        data = manifest_bytes(blobs, blob)
        if data is None:
            continue
        manifest = manifest_in(blobs, blob)
        if blob.digest in told:
            manifests[blob.digest] = data
        elif manifest is not None and all(blobs.size(entry.digest) is not None for entry in manifest.files):
            manifests[blob.digest] = data
            name = f"{_NAMESPACE}/{blob.digest.removeprefix('sha256:')[:12]}"
            recovered.append(published(name, _next_number(events, name), blob.digest))
    mended = mend([*events, *recovered], manifests)
    return Plan(mended, manifests, tuple(event.name for event in recovered))


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be restored, and with which manifests."""

    mended: Mended
    manifests: Mapping[str, bytes]
    recovered: tuple[str, ...]

    @property
    def live(self) -> Mapping[str, bytes]:
        """The manifests of what is live after the events, and its signatures as far as they are there."""
        standing = Standing.after(self.mended.events)
        signatures = [digest for each in standing.signatures.values() for digest in each]
        wanted = {*standing.versions.values(), *(each for each in signatures if each in self.manifests)}
        return {digest: self.manifests[digest] for digest in wanted}

    @property
    def rebuilt(self) -> Rebuilt:
        """What comes of it."""
        standing = Standing.after(self.mended.events)
        return Rebuilt(len(standing.versions), len(standing.aliases), self.mended.lost, self.recovered)

    def carry_out(self, index: Index) -> Rebuilt:
        """Fills an index that has no event; raises StorageError."""
        index.restore(self.mended.events, self.live)
        return self.rebuilt


def _next_number(events: Sequence[Event], name: str) -> int:
    return 1 + max((event.version for event in events if event.name == name), default=0)
