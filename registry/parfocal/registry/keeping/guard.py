"""Whether an index and the blobs beside it belong together. Knows both only by their protocols."""

from collections.abc import Iterable, Iterator

from parfocal.registry.blobs import BlobStore
from parfocal.registry.errors import IndexCorrupt, IndexLost
from parfocal.registry.index import Index
from parfocal.registry.keeping.beside import Beside
from parfocal.registry.keeping.verification import every_event
from parfocal.registry.values import Event, Standing


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
        raise _contradicted(location, last.sequence)


def check_all_of_index(index: Index, blobs: BlobStore, location: str) -> None:
    """Raises IndexLost or IndexCorrupt unless the index can be trusted to say what nobody needs.

    Its pages are sound, every event of the journal is in it as it was, and the live versions are those of
    its own history. Manifests are not looked at.
    """
    check_index(index, blobs, location)
    for wrong in index.check():
        raise _damaged(location, wrong)

    def check(kept: Event, known: Event | None) -> None:
        if known is None:
            raise _lost(location, f"its index lacks change {kept.sequence}")
        if known != kept:
            raise _contradicted(location, kept.sequence)

    beside = Beside(blobs.journal.read(), lambda kept: check(kept, index.event(kept.sequence)))
    standing, last = Standing(), 0
    for event in every_event(index):
        standing.take(event)
        if event.sequence != last + 1:
            raise _lost(location, f"its index lacks change {last + 1}")
        last = event.sequence
        check(beside.of(last) or event, event)
    for later in beside.rest():
        check(later, index.event(later.sequence))
    live = index.live_digests()
    if live not in _live_since(standing, every_event(index, last)):
        raise _damaged(location, "its versions are not those of its own history")


def _live_since(standing: Standing, later: Iterable[Event]) -> Iterator[set[str]]:
    """The digests of live versions, now and after each later event: others may delete some meanwhile."""
    yield set(standing.versions.values())
    for event in later:
        standing.take(event)
        yield set(standing.versions.values())


def _contradicted(location: str, sequence: int) -> IndexLost:
    return _lost(location, f"its index and its journal tell different things of change {sequence}")


def _damaged(location: str, what: str) -> IndexCorrupt:
    return IndexCorrupt(
        f"the index of registry {location} is damaged ({what}); nothing was changed: restore a backup, or "
        f"run parfocal registry rebuild {location}",
        path=location,
    )


def _lost(location: str, what: str) -> IndexLost:
    return IndexLost(
        f"registry {location} is not whole: {what}; nothing was changed: restore a backup, or run "
        f"parfocal registry rebuild {location}",
        path=location,
    )
