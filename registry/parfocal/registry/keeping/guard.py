"""Whether an index and the blobs beside it belong together. Knows both only by their protocols."""

from parfocal.registry.blobs import BlobStore
from parfocal.registry.errors import IndexLost
from parfocal.registry.index import Index


def check_nothing_is_lost(blobs: BlobStore, location: str) -> None:
    """Raises IndexLost if something was published here; called before a new index is made."""
    last = blobs.journal.last()
    if last is not None:
        raise _lost(location, f"its index is gone or empty, and its journal has {last.sequence} changes")
    if next(iter(blobs.stored()), None) is not None:
        raise _lost(location, "its index is gone or empty, and there are blobs")


def check_index(index: Index, blobs: BlobStore, location: str) -> None:
    """Raises IndexLost when the index does not know the last event of the journal.

    An event happens in the index first: an index that lacks it is an older copy, or another registry's.
    """
    last = blobs.journal.last()  # read before the index, which may advance meanwhile
    if last is None:
        return
    known = index.event(last.sequence)
    if known is None:
        raise _lost(location, f"its index is older than its journal, which has {last.sequence} changes")
    if known != last:
        raise _lost(location, f"its index and its journal tell different things of change {last.sequence}")


def _lost(location: str, what: str) -> IndexLost:
    return IndexLost(
        f"registry {location} is not whole: {what}; nothing was changed: restore a backup, or run "
        f"parfocal registry rebuild {location}",
        path=location,
    )
