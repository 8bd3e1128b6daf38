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


def plan(events: Sequence[Event], blobs: BlobStore, rescued: Mapping[str, bytes]) -> "Plan":
    """What an index would be rebuilt to from events that are left; raises StorageError.

    `rescued` are manifests that the damaged index still holds, for where the blob is gone.
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

    def carry_out(self, index: Index) -> Rebuilt:
        """Fills an index that has no event; raises StorageError."""
        standing = Standing.after(self.mended.events)
        live = {digest: self.manifests[digest] for digest in standing.versions.values()}
        index.restore(self.mended.events, live)
        return Rebuilt(len(standing.versions), len(standing.aliases), self.mended.lost, self.recovered)


def _next_number(events: Sequence[Event], name: str) -> int:
    return 1 + max((event.version for event in events if event.name == name), default=0)
