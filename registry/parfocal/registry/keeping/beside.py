"""A journal read beside its index, event by event, however long both are. Judges neither."""

from collections.abc import Callable, Iterable, Iterator

from parfocal.registry.values import Event

# So far is read ahead for an event that is not where it is looked for.
_AHEAD = 1000


class Beside:
    """The events of a journal, asked for by rising numbers; at most a thousand are held at a time.

    `journal` tells them as they stand there: by their numbers, unless somebody put them elsewhere.
    `displaced` is told of each that follows a later one, or itself.
    """

    def __init__(self, journal: Iterable[Event], displaced: Callable[[Event], None]) -> None:
        self._coming = iter(journal)
        self._displaced = displaced
        self._held: dict[int, Event] = {}
        self._asked = 0
        self._before = 0
        self._highest = 0
        self._is_over = False

    def of(self, sequence: int) -> Event | None:
        """The event with a number, higher than all that were asked for; None where it is not found."""
        if sequence != self._asked + 1:
            self._held = {number: event for number, event in self._held.items() if number >= sequence}
        self._asked = sequence
        while sequence not in self._held and len(self._held) < _AHEAD and not self._is_over:
            self._take_next()
        return self._held.pop(sequence, None)

    def ended_before(self, sequence: int) -> bool:
        """Whether the journal has been read to its end, and has no event with this or a higher number."""
        return self._is_over and sequence > self._highest

    def rest(self) -> Iterator[Event]:
        """The events with higher numbers than all that were asked for."""
        while self._held or not self._is_over:
            yield from (self._held[number] for number in sorted(self._held) if number > self._asked)
            self._held = {}
            self._take_next()

    def _take_next(self) -> None:
        event = next(self._coming, None)
        if event is None:
            self._is_over = True
            return
        if event.sequence <= self._before:
            self._displaced(event)
        self._before, self._highest = event.sequence, max(self._highest, event.sequence)
        if event.sequence >= self._asked:
            self._held.setdefault(event.sequence, event)
