"""A seeded source of choices, with a part of every list kept back for held-out documents."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

_HELD_EVERY = 8
_Item = TypeVar("_Item")


class Source:
    """Draws from lists; training and held-out sources never draw the same item of a list of eight or more."""

    def __init__(self, seed: int | str, held_out: bool = False, pieces: Sequence[str] = ()) -> None:
        """Fixes the sequence of draws by `seed`; invented words are partly joined from `pieces`, if any."""
        self.random = Random(f"{seed}/{'held' if held_out else 'train'}")
        self.held_out = held_out
        self.pieces = pieces

    def pick(self, items: Sequence[_Item]) -> _Item:
        """One item: of every eighth when held out, else of the others; any item of a short list."""
        if len(items) < _HELD_EVERY:
            return self.random.choice(items)
        kept_back = len(items) // _HELD_EVERY
        if self.held_out:
            return items[_HELD_EVERY * self.random.randrange(kept_back) + _HELD_EVERY - 1]
        place = self.random.randrange(len(items) - kept_back)
        return items[place + min(place // (_HELD_EVERY - 1), kept_back)]

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.random.random() < probability

    def between(self, low: int, high: int) -> int:
        """An integer in `[low, high]`."""
        return self.random.randint(low, high)

    def shuffled(self, items: Sequence[_Item]) -> list[_Item]:
        """All items in a new order."""
        return self.random.sample(list(items), len(items))

    def some(self, items: Sequence[_Item], low: int, high: int) -> list[_Item]:
        """Between `low` and `high` distinct items (at most all) in a new order."""
        return self.random.sample(list(items), min(len(items), self.between(low, high)))
