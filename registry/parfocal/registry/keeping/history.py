"""Proves that a history is as it was written: each event sealed with the one before, and none absent."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from parfocal.registry.blobs import BlobStore
from parfocal.registry.errors import IndexCorrupt, InvalidArgument
from parfocal.registry.index import Index
from parfocal.registry.values import Event, Standing, parse_digest

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Seal:
    """The number of an event and its hash, by which it and all before it are known again."""

    sequence: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> "Seal":
        """Reads `NUMBER:sha256:…`, as it is shown; raises InvalidArgument."""
        number, _, hash_text = text.partition(":")
        if not number.isdecimal() or len(number) > 18 or not int(number):
            raise InvalidArgument(
                f"{text[:100]!a} is no event's number and hash; write NUMBER:sha256:…, as it is shown",
                field="against",
            )
        return cls(int(number), parse_digest(hash_text))

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"


@dataclass(frozen=True, slots=True)
class HistoryFault:
    """What is wrong, and with which event; 0 where it is none in particular."""

    sequence: int
    problem: str

    def __str__(self) -> str:
        return f"event {self.sequence} {self.problem}" if self.sequence else self.problem


@dataclass(frozen=True, slots=True)
class HistoryVerification:
    """How many events were read, the seal of the last one, and what is wrong."""

    events: int
    last: Seal
    faults: tuple[HistoryFault, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing was wrong."""
        return not self.faults


def verify_events(
    events: Iterable[Event | HistoryFault],
    against: Seal | None = None,
    journal: Mapping[int, Event] = MappingProxyType({}),
) -> HistoryVerification:
    """Looks at all events, in order, or at the faults in place of those that cannot be read.

    `against` is a seal that was noted earlier, `journal` another copy of the events.
    """
    chain = _Chain(against, dict(journal))
    for event in events:
        chain.take(event)
    return chain.end()


def verify_history(index: Index, blobs: BlobStore, against: Seal | None = None) -> HistoryVerification:
    """Looks at every event of an index, at its journal, and whether versions and aliases are as they say.

    Who may write to the database could write a chain of hashes anew; the journal beside the blobs and a seal
    that was noted elsewhere tell. Raises StorageError.
    """
    journal = {event.sequence: event for event in blobs.journal.read()}
    standing = Standing()

    def told() -> Iterator[Event | HistoryFault]:
        for event in _readable_events(index):
            if isinstance(event, Event):
                standing.take(event)
            yield event

    found = verify_events(told(), against, journal)
    return HistoryVerification(found.events, found.last, (*found.faults, *_strays(index, standing)))


@dataclass(slots=True)
class _Chain:
    """Events as they are looked at one after the other."""

    against: Seal | None
    journal: dict[int, Event]
    count: int = 0
    # The number and hash of the event before; no hash where that is not known.
    before: int = 0
    hash: str | None = ""
    faults: list[HistoryFault] = field(default_factory=list)

    def take(self, event: Event | HistoryFault) -> None:
        self._note_gap(event.sequence)
        if isinstance(event, HistoryFault):
            self.faults.append(event)
            self.before, self.hash = event.sequence, None
            return
        self.count += 1
        self._check(event)
        self.before, self.hash = event.sequence, event.hash

    def end(self) -> HistoryVerification:
        """What was found; also what must follow the last event."""
        last = self.before
        for sequence in sorted(number for number in self.journal if number > last):
            self.faults.append(HistoryFault(sequence, "is in the journal, and was removed from the index"))
        if self.against is not None and self.against.sequence > last:
            self.faults.append(HistoryFault(self.against.sequence, "was noted earlier, and was removed"))
        return HistoryVerification(self.count, Seal(last, self.hash or ""), tuple(self.faults))

    def _note_gap(self, sequence: int) -> None:
        for absent in range(self.before + 1, min(sequence, self.before + 1 + _BATCH)):
            self.journal.pop(absent, None)
            self.faults.append(HistoryFault(absent, "is absent: it was removed, or is not shown to you"))
        if sequence != self.before + 1:
            self.hash = None

    def _check(self, event: Event) -> None:
        kept = self.journal.pop(event.sequence, None)
        is_sealed = self.hash is None or event.hash_after(self.hash) == event.hash
        if not is_sealed:
            self._fault(event, "was changed: its hash does not follow from what it says and the hash before")
        if kept is not None and kept != event:
            self._fault(event, "was changed: the journal says something else of it")
        elif kept is not None and kept.hash and kept.hash != event.hash:
            self._fault(event, "was sealed anew: the journal has another hash of it")
        noted = self.against
        if noted is not None and noted.sequence == event.sequence and noted.hash != event.hash:
            self._fault(event, f"has the hash {event.hash}, and had {noted.hash}")

    def _fault(self, event: Event, problem: str) -> None:
        if not self.faults or self.faults[-1].sequence != event.sequence:
            self.faults.append(HistoryFault(event.sequence, problem))


def _readable_events(index: Index) -> Iterator[Event | HistoryFault]:
    """Every event of an index, or what is wrong with one that cannot be read."""
    after, last = 0, index.last_sequence()
    while after < last:
        try:
            batch = index.events(after, _BATCH)
        except IndexCorrupt:
            batch = []
        if batch:
            yield from batch
            after = batch[-1].sequence
            continue
        try:
            one = index.events(after, 1)
        except IndexCorrupt:
            yield HistoryFault(after + 1, "was changed: it cannot be read")
            after += 1
        else:
            yield from one
            after = one[-1].sequence if one else last


def _strays(index: Index, standing: Standing) -> Iterator[HistoryFault]:
    """Versions, aliases and canaries that are not what the events made of them."""
    yield from _stray_aliases(index, standing)
    live = {digest for digest, _ in index.manifests()}
    for (name, number), digest in sorted(standing.versions.items()):
        if digest not in live:
            yield HistoryFault(0, f"{name}@{number} was published as {digest}, and is not there")
    for digest in sorted(live - set(standing.versions.values())):
        yield HistoryFault(0, f"{digest} is a version that no event has published")
    yield from _stray_signatures(index, standing)


def _stray_signatures(index: Index, standing: Standing) -> Iterator[HistoryFault]:
    signatures = {digest for digest, _ in index.signature_bundles()}
    for (name, number), digests in sorted(standing.signatures.items()):
        for digest in digests:
            if digest not in signatures:
                yield HistoryFault(0, f"{name}@{number} was signed with {digest}, and that is not there")
    for digest in sorted(signatures.difference(*standing.signatures.values())):
        yield HistoryFault(0, f"{digest} is a signature that no event has added")


def _stray_aliases(index: Index, standing: Standing) -> Iterator[HistoryFault]:
    """Aliases that point elsewhere, or share their requests otherwise, than the events say."""
    there = [alias for adapter in _adapters(index) for alias in index.aliases(adapter)]
    aliases = {(each.name, each.alias): each.version for each in there}
    for name, alias in sorted(aliases.keys() | standing.aliases.keys()):
        found, told = aliases.get((name, alias), 0), standing.aliases.get((name, alias), 0)
        if found != told:
            yield HistoryFault(
                0, f"{name}@{alias} points at {_version(found)}, and was last moved to {_version(told)}"
            )
    canaries = {(each.name, each.alias): each.canary.number for each in there if each.canary is not None}
    begun = {where: event.sequence for where, event in standing.canaries.items()}
    for name, alias in sorted(canaries.keys() | begun.keys()):
        found, told = canaries.get((name, alias), 0), begun.get((name, alias), 0)
        if found != told:
            yield HistoryFault(0, f"{name}@{alias} has {_canary(found)}, and was last given {_canary(told)}")


def _version(number: int) -> str:
    return f"version {number}" if number else "nothing"


def _canary(number: int) -> str:
    return f"the canary of event {number}" if number else "no canary"


def _adapters(index: Index) -> Iterator[str]:
    after = ""
    while True:
        found = index.adapters(_BATCH, after)
        yield from (adapter.name for adapter in found.items)
        after = found.next_key
        if not after:
            return
