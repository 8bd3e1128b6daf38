"""The journal as objects of some lines each, of which none is ever changed. Knows no index."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from parfocal.registry.blobs.journal_lines import event_in, is_whole, line_of
from parfocal.registry.blobs.objects.bucket import Bucket, Object
from parfocal.registry.values import Event

# So many events share a folder, which becomes one object when it is full.
_CHAPTER = 1000
_ROOT = "journal"
# How often a chapter is listed again while another process binds it.
_LOOKS = 5


class ObjectJournal:
    """The journal as objects `journal/<chapter>/<first>-<last>.jsonl`.

    Several processes may write the same events at a time: they have them from one index, so equal numbers
    are equal events, and no object takes another's place unless it holds as much.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lock = threading.Lock()
        self._known: Event | None = None
        self._full: set[int] = set()

    def last(self) -> Event | None:
        """The last event that can be read; raises StorageError."""
        begin = 0 if self._known is None else _chapter(self._known.sequence)
        chapters = [begin] if self._known is not None and self._known.sequence % _CHAPTER else []
        if not self._known or not chapters:
            chapters = [int(name) for name in self._bucket.folders(_ROOT) if name.isdecimal()]
        for chapter in sorted(chapters, reverse=True):
            found = self._last_of(chapter)
            if found is not None:
                return found
        return self._known

    def read(self) -> Iterator[Event]:
        """Every event that can be read, chapter by chapter; raises StorageError."""
        return (event for event in self._told() if event is not None)

    def is_intact(self) -> bool:
        """Whether every line can be read and no event is absent; raises StorageError."""
        return is_whole(self._told())

    def extend(self, newer: Callable[[int], Sequence[Event]]) -> None:
        """Adds what `newer` gives, durably; raises StorageError."""
        with self._lock:
            last = self.last()
            events = newer(0 if last is None else last.sequence)
            for chapter, some in groupby(events, lambda event: _chapter(event.sequence)):
                self._write(list(some))
                if events[-1].sequence >= (chapter + 1) * _CHAPTER:
                    self._bind(chapter)
            if events:
                self._known = events[-1]

    def set_aside(self) -> str:
        """Moves the objects to `journal-set-aside-<number>/`; raises StorageError."""
        with self._lock:
            objects = list(self._bucket.below(_ROOT))
            if not objects:
                return ""
            taken = self._bucket.folders("")
            number = 1
            while f"{_ROOT}-set-aside-{number}" in taken:
                number += 1
            aside = f"{_ROOT}-set-aside-{number}"
            for each in objects:
                self._bucket.move(each.key, aside + each.key.removeprefix(_ROOT))
            self._known, self._full = None, set()
        return f"{self._bucket.shown}/{aside}"

    def _last_of(self, chapter: int) -> Event | None:
        """The last event of a chapter, or of a later one where others have begun it since it was listed."""
        objects = sorted(self._objects(chapter), key=lambda each: _span(each)[1], reverse=True)
        for each in objects:
            if self._known is not None and _span(each)[1] == self._known.sequence:
                return self._known
            events = _readable(self._told_by(each))
            if events:
                self._known = max(events, key=lambda event: event.sequence)
                if self._known.sequence % _CHAPTER == 0:
                    return self._last_of(chapter + 1) or self._known
                return self._known
        return None

    def _write(self, events: Sequence[Event]) -> None:
        first, last = events[0].sequence, events[-1].sequence
        key = f"{_ROOT}/{_chapter(first):012}/{first:015}-{last:015}.jsonl"
        self._bucket.write(key, b"".join(map(line_of, events)))

    def _bind(self, chapter: int) -> None:
        """Makes one object of a chapter that is full, then removes its parts."""
        objects = self._objects(chapter)
        events = {event.sequence: event for each in objects for event in _readable(self._told_by(each))}
        first = chapter * _CHAPTER + 1
        if sorted(events) != list(range(first, first + _CHAPTER)):
            return
        self._write([events[number] for number in sorted(events)])
        for each in objects:
            if _span(each) != (first, first + _CHAPTER - 1):
                self._bucket.remove(each.key)

    def _told(self) -> Iterator[Event | None]:
        """Every event, None for one that cannot be read; those too that are written meanwhile."""
        last, last_event = "", 0
        while True:
            has_grown = False
            for folder in self._folders():
                for event in self._told_in(folder) if folder >= last else ():
                    number = 0 if event is None else event.sequence
                    if folder > last or number > last_event:
                        has_grown, last_event = True, number
                        yield event
                last = max(last, folder)
            if not has_grown:
                return

    def _told_in(self, folder: str) -> Iterator[Event | None]:
        """The events of a chapter, each once, unless its objects contradict each other."""
        for _ in range(_LOOKS):
            objects = [each for each in self._named(self._bucket.below(folder)) if _folder(each) == folder]
            told = [self._told_by(each) for each in objects]
            if None not in told:  # else another process is binding it, and has written it whole before
                break
        lines = [event for each in told for event in each or []]
        yield from (None for event in lines if event is None)
        seen: set[tuple[Event, str]] = set()
        for event in sorted(_readable(lines), key=lambda event: event.sequence):
            if (event, event.hash) not in seen:
                seen.add((event, event.hash))
                yield event

    def _folders(self) -> list[str]:
        return sorted({_folder(each) for each in self._named(self._bucket.below(_ROOT))})

    def _objects(self, chapter: int) -> list[Object]:
        return self._named(self._bucket.below(f"{_ROOT}/{chapter:012}"))

    def _named(self, objects: Iterable[Object]) -> list[Object]:
        return [each for each in objects if each.key.endswith(".jsonl") and _span(each) != (0, 0)]

    def _told_by(self, each: Object) -> list[Event | None] | None:
        """The event of each line of an object; None where another process has bound its chapter."""
        try:
            return list(map(event_in, self._bucket.read(each.key).splitlines()))
        except FileNotFoundError:
            return None


def _readable(told: Iterable[Event | None] | None) -> list[Event]:
    return [event for event in told or () if event is not None]


def _folder(each: Object) -> str:
    return each.key.rpartition("/")[0]


def _chapter(sequence: int) -> int:
    return (sequence - 1) // _CHAPTER


def _span(each: Object) -> tuple[int, int]:
    """The numbers of an object's first and last event, as its key says; zeros where it does not."""
    first, _, last = each.key.rpartition("/")[2].removesuffix(".jsonl").partition("-")
    return (int(first), int(last)) if first.isdecimal() and last.isdecimal() else (0, 0)
