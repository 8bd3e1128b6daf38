"""Rebuilds the index of a registry whose storage is shared by several machines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from parfocal.registry.disk import cache_home
from parfocal.registry.errors import InvalidArgument, NotARegistry
from parfocal.registry.keeping import Rebuilt, plan, surviving
from parfocal.registry.shared_registry import SharedRegistry, blobs_at
from parfocal.registry.storage_address import StorageAddress
from parfocal.registry.values import Event


@dataclass(frozen=True, slots=True)
class RebuiltShared:
    """What an index was rebuilt to, and where what was replaced is kept."""

    rebuilt: Rebuilt
    set_aside: tuple[str, ...]


def rebuild_shared(address: StorageAddress, cache: Path | None = None) -> RebuiltShared:
    """Rebuilds an index in PostgreSQL from the journal and the manifests in the store beside it.

    And from what can still be read of the old index, whose tables are kept in another schema. Servers may go
    on meanwhile: they wait. Raises InvalidArgument for another kind of index, NotARegistry or another
    StorageError.
    """
    if urlsplit(address.index).scheme == "sqlite":
        raise InvalidArgument(
            "only an index in PostgreSQL, or in a registry's folder, is rebuilt; move its file away and "
            "copy the blobs into a folder, then rebuild that",
            field="index",
        )
    from parfocal.registry.index.postgres import PostgresAddress, replace_index

    home = cache or cache_home()
    blobs, shown = blobs_at(address.blobs, home)
    aside: list[str] = []
    done: list[Rebuilt] = []

    def renewed(
        old: tuple[Sequence[Event], Mapping[str, bytes]],
    ) -> tuple[Sequence[Event], Mapping[str, bytes]]:
        events, manifests = surviving(blobs, *old)
        found = plan(events, blobs, manifests)
        if not found.mended.events:
            raise NotARegistry(f"{shown} holds nothing that an index could be rebuilt from", path=shown)
        done.append(found.rebuilt)
        if found.mended.is_changed or not blobs.journal.is_intact():
            aside.append(blobs.journal.set_aside())
        return found.mended.events, found.live

    schema = replace_index(PostgresAddress.parse(address.index), renewed)
    SharedRegistry(address, create=False, cache=home)  # writes what the journal is missing
    kept = ([f"schema {schema}"] if schema else []) + [each for each in aside if each]
    return RebuiltShared(done[-1], tuple(kept))
