"""Whose turn it is on the slots when more adapters want to run than there are slots.

A request without a slot waits until some slot has no pins left, and new requests for the adapters on the
device could go on pinning them for ever. So once `max_skips` later requests have started on adapters while it
waited, a slot is closed for it: of the requests behind it, none may take that slot any more. All other slots
stay open to everybody, and so does the closed one to requests ahead of it. No torch, no threads.

Which slot: the one that will be free soonest by the tokens its requests may still generate. A slot that
waiting requests want is spared until it has had its turn: `max_skips` over the number of slots, rounded up,
of later requests. So the requests for one adapter run together, and adapters that take turns do not thrash.
Nearly always nobody waits too long: then there is nothing to plan, and nobody to hold back.
"""

from collections import Counter
from collections.abc import Iterable
from collections.abc import Sequence as Many

from parfocal.engine.adapters import Slot
from parfocal.engine.scheduling.sequence import Sequence


class Turns:
    """Counts overtaking, and closes one slot for each adapter that waits too long.

    `closed` are these slots, by the digest of the adapter that has it; those `held_back` must yield it to one
    that has waited longer. Without a closed slot, `plan` is for where one waits that was overtaken
    `max_skips` times.
    """

    def __init__(self, max_skips: int) -> None:
        self._max_skips = max_skips
        self.closed: dict[str, Slot] = {}
        self.held_back: set[Sequence] = set()

    def plan(self, waiting: Many[Sequence], running: Many[Sequence]) -> None:
        """Closes and opens slots by what is waiting and running; `waiting` is in queue order."""
        due = {sequence.digest: None for sequence in waiting if self._is_due(sequence)}
        left = _tokens_left((*waiting, *running))
        self.closed = {digest: slot for digest, slot in self.closed.items() if slot in left}
        if len(self.closed) < len(due):
            self._close(len(due) - len(self.closed), left, {sequence.digest for sequence in waiting})
        while len(self.closed) > len(due):
            self.closed.popitem()
        first = next((at for at, sequence in enumerate(waiting) if self._is_due(sequence)), len(waiting))
        self.held_back = {sequence for sequence in waiting[first:] if sequence.digest in self.closed}

    def pass_over(self, passed: Many[Sequence], slot: Slot) -> bool:
        """Counts a start on `slot` ahead of requests without one; True if one has now waited too long."""
        slot.turn += bool(passed)
        for older in passed:
            older.skips += 1
        return any(older.skips == self._max_skips for older in passed)

    def _close(self, number: int, left: dict[Slot, int], wanted: set[str]) -> None:
        share = -(-self._max_skips // len(left)) if left else 0
        ready = [
            slot
            for slot in left
            if slot.adapter.digest not in self.closed
            and (slot.turn >= share or slot.adapter.digest not in wanted)
        ]
        ready.sort(key=lambda slot: (left[slot], slot.adapter.digest))
        self.closed.update((slot.adapter.digest, slot) for slot in ready[:number])

    def _is_due(self, sequence: Sequence) -> bool:
        lacks = sequence.request.adapter is not None and sequence.slot is None
        return lacks and sequence.skips >= self._max_skips


def _tokens_left(sequences: Iterable[Sequence]) -> dict[Slot, int]:
    """Returns, for each pinned slot, what the longest of its requests may still generate."""
    left: Counter[Slot] = Counter()
    for sequence in sequences:
        if sequence.slot is not None:
            tokens = sequence.max_tokens - len(sequence.output_ids)
            left[sequence.slot] = max(left[sequence.slot], tokens)
    return left
