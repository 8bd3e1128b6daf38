"""Which rows teach the same, so that none of them may be held out while another is learnt."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parfocal.training.data.lessons import Reader
from parfocal.training.data.rows import Row, normalised


@dataclass(frozen=True, slots=True)
class Family:
    """Rows that belong together, by their index, and a name that depends on what they teach alone."""

    name: bytes
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Families:
    """All rows in families; `common` are prompts that too many rows share to keep those together.

    Rows that teach nothing but answers to common prompts, and what is part of those, are in no family.
    """

    families: tuple[Family, ...]
    common: frozenset[bytes]


def families(rows: Sequence[Row], read: Reader, most: int) -> Families:
    """Puts rows that learn an answer after the same prompt into one family, and raw texts that nest.

    A prompt of more than `most` rows, such as the greeting that every chat begins with, joins none.
    """
    prompts = [tuple(dict.fromkeys(lesson.prompt for lesson in read(row))) for row in rows]
    counts = Counter(prompt for found in prompts for prompt in found)
    common = frozenset(prompt for prompt, count in counts.items() if count > most)
    telling = [[prompt for prompt in found if prompt not in common] for found in prompts]
    joined = _Joined(len(rows))
    first: dict[bytes, int] = {}
    for at, found in enumerate(telling):
        for prompt in found:
            joined.join(first.setdefault(prompt, at), at)
    for inner, outer in nested(rows):
        for at in (*inner, *outer):
            joined.join(inner[0], at)
    members: dict[int, list[int]] = {}
    for at in range(len(rows)):
        members.setdefault(joined.root(at), []).append(at)
    free = [group for group in members.values() if all(telling[at] for at in group)]
    # Named by how its talks begin, as a name of all prompts would rank large families before small ones.
    named = [Family(min(telling[at][0] for at in group), tuple(group)) for group in free]
    return Families(tuple(sorted(named, key=lambda family: family.name)), common)


def nested(rows: Sequence[Row]) -> Iterator[tuple[list[int], list[int]]]:
    """Yields pairs of raw rows' indices (inner, outer) where the outer text begins with the inner one.

    The outer rows learn some of the inner text, as one text may be cut into prompt and completion at any
    place. Rows of the very same text are yielded as both.
    """
    same: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        if row.raw:
            same.setdefault(normalised("".join(turn.content for turn in row.turns)), []).append(at)
    around: list[str] = []
    for text in sorted(same):
        opened = min(len(normalised(_asked(rows[at]))) for at in same[text])
        while around and not text.startswith(around[-1]):
            around.pop()
        around.append(text)
        for inner in around:
            whole = len(text) == len(inner) or text[len(inner)] == " "
            if whole and opened < len(inner):
                yield same[inner], same[text]


def _asked(row: Row) -> str:
    return "".join(turn.content for turn in row.prompt)


class _Joined:
    """Sets that are joined pair by pair (union-find with path halving)."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def root(self, at: int) -> int:
        while self._above[at] != at:
            self._above[at] = self._above[self._above[at]]
            at = self._above[at]
        return at

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._above[high] = low
