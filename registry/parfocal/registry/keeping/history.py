"""Proves that a history is as it was written: each event sealed with the one before, and none absent."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from parfocal.registry.blobs import BlobStore
from parfocal.registry.errors import IndexCorrupt
from parfocal.registry.index import Index
from parfocal.registry.keeping.beside import Beside
from parfocal.registry.keeping.seals import HistoryFault, HistoryVerification, Seal
from parfocal.registry.keeping.strays import strays
from parfocal.registry.values import Event, Standing

Progress = Callable[[int, int], None]
_BATCH = 1000
# More than anybody reads one by one; the others are counted.
_MOST_FAULTS = 10_000
# How often what seems astray is looked at again while others go on.
_LOOKS = 5


def verify_events(
    events: Iterable[Event | HistoryFault],
    against: Seal | None = None,
    journal: Iterable[Event] | None = None,
) -> HistoryVerification:
    """Looks at all events, in order, or at the faults in place of those that cannot be read.

    `against` is a seal that was noted earlier, `journal` another copy of the events, as they stand there.
    Holds a thousand of them at a time, however many there are.
    """
    return _verified(events, against, journal, lambda sequence: None)


def verify_history(
    index: Index, blobs: BlobStore, against: Seal | None = None, progress: Progress | None = None
) -> HistoryVerification:
    """Looks at every event of an index, at its journal, and whether versions and aliases are as they say.

    Who may write to the database could write a chain of hashes anew; the journal beside the blobs and a seal
    that was noted elsewhere tell. Others may go on meanwhile: what happens after the call is not looked at.
    `progress` is told how many events were read, of how many. Memory grows with what the index holds now, not
    with how much has happened. Raises StorageError.
    """
    last = index.last_sequence()
    standing = Standing()
    told = _progressing(taken_by(standing, readable_events(index, 0, last)), last, progress)
    found = _verified(told, against, blobs.journal.read(), index.event)
    astray = _astray(index, standing, last)
    return HistoryVerification(found.events, found.last, (*found.faults, *astray), found.unconfirmed)


def readable_events(index: Index, after: int, last: int) -> Iterator[Event | HistoryFault]:
    """Every event of an index after one and up to another, or what is wrong with one that cannot be read."""
    batch = _BATCH
    while after < last:
        try:
            events = index.events(after, batch)
        except IndexCorrupt:
            if batch == 1:
                after += 1
                yield HistoryFault(after, "was changed: it cannot be read")
            batch = max(1, batch // 2)
            continue
        yield from (event for event in events if event.sequence <= last)
        after = events[-1].sequence if events else last
        batch = min(_BATCH, 2 * batch)


def taken_by(standing: Standing, events: Iterable[Event | HistoryFault]) -> Iterator[Event | HistoryFault]:
    """The same events, while `standing` takes those that can be read."""
    for event in events:
        if isinstance(event, Event):
            standing.take(event)
        yield event


def _progressing(
    events: Iterable[Event | HistoryFault], last: int, progress: Progress | None
) -> Iterator[Event | HistoryFault]:
    for event in events:
        yield event
        if progress is not None and (event.sequence % _BATCH == 0 or event.sequence == last):
            progress(event.sequence, last)


def _astray(index: Index, standing: Standing, last: int) -> list[HistoryFault]:
    """What is not as it stands after the event `last`, though it be looked at again after what others did."""
    found = list(strays(index, standing))
    for _ in range(_LOOKS):
        now = index.last_sequence()
        if not found or now <= last:
            return found
        for event in readable_events(index, last, now):
            if isinstance(event, Event):
                standing.take(event)
        last = now
        again = set(strays(index, standing))
        found = [fault for fault in found if fault in again]
    return found


def _verified(
    events: Iterable[Event | HistoryFault],
    against: Seal | None,
    journal: Iterable[Event] | None,
    known: Callable[[int], Event | None],
) -> HistoryVerification:
    chain = _Chain(against, known)
    beside = None if journal is None else Beside(journal, chain.displaced)
    for event in events:
        chain.take(event, beside)
    return chain.end(beside)


@dataclass(slots=True)
class _Chain:
    """Events as they are looked at one after the other. `known` finds one that has happened since."""

    against: Seal | None
    known: Callable[[int], Event | None]
    count: int = 0
    # The number and hash of the event before; no hash where that is not known.
    before: int = 0
    hash: str | None = ""
    unconfirmed: int = 0
    faults: list[HistoryFault] = field(default_factory=list)
    more: int = 0

    def take(self, event: Event | HistoryFault, beside: Beside | None) -> None:
        self._note_gap(event.sequence)
        kept = None if beside is None else beside.of(event.sequence)
        if isinstance(event, HistoryFault):
            self._fault(event.sequence, event.problem)
            self.before, self.hash = event.sequence, None
            return
        self.count += 1
        if self.hash is not None and event.hash_after(self.hash) != event.hash:
            self._fault(
                event.sequence, "was changed: its hash does not follow from what it says and the hash before"
            )
        if kept is not None:
            self._check_kept(event, kept)
        elif beside is not None:
            self._note_absence(event, beside)
        self._check_noted(event)
        self.before, self.hash = event.sequence, event.hash

    def displaced(self, event: Event) -> None:
        """Notes an event that stands elsewhere in the journal than it was written."""
        self._fault(event.sequence, "was put elsewhere in the journal, or is there twice")

    def end(self, beside: Beside | None) -> HistoryVerification:
        """What was found; also what must follow the last event."""
        last = self.before
        for event in [] if beside is None else beside.rest():
            found = self.known(event.sequence)
            if found is None:
                self._fault(event.sequence, "is in the journal, and was removed from the index")
            elif found != event:
                self._fault(event.sequence, "was changed: the journal says something else of it")
        if self.against is not None and self.against.sequence > last:
            self._fault(self.against.sequence, "was noted earlier, and was removed")
        if self.more:
            self.faults.append(HistoryFault(0, f"{self.more} more faults were found, and are not listed"))
        return HistoryVerification(
            self.count, Seal(last, self.hash or ""), tuple(self.faults), self.unconfirmed
        )

    def _note_gap(self, sequence: int) -> None:
        for absent in range(self.before + 1, min(sequence, self.before + 1 + _BATCH)):
            self._fault(absent, "is absent: it was removed, or is not shown to you")
        if sequence != self.before + 1:
            self.hash = None

    def _check_noted(self, event: Event) -> None:
        noted = self.against
        if noted is not None and noted.sequence == event.sequence and noted.hash != event.hash:
            self._fault(event.sequence, f"has the hash {event.hash}, and had {noted.hash}")

    def _check_kept(self, event: Event, kept: Event) -> None:
        if kept != event:
            self._fault(event.sequence, "was changed: the journal says something else of it")
        elif kept.hash and kept.hash != event.hash:
            self._fault(event.sequence, "was sealed anew: the journal has another hash of it")

    def _note_absence(self, event: Event, beside: Beside) -> None:
        if beside.ended_before(event.sequence):
            self.unconfirmed += 1
        else:
            self._fault(event.sequence, "is not where it was in the journal: its line was changed or removed")

    def _fault(self, sequence: int, problem: str) -> None:
        if self.faults and self.faults[-1].sequence == sequence:
            return
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(HistoryFault(sequence, problem))
        else:
            self.more += 1
