"""Faults that show only across rows: repeats and contradictions. Knows no tokens.

Keeps 8-byte digests of what rows ask and answer, not the rows, so that a file of any size can be looked
through. Beyond some millions only every second digest is kept, then every fourth: what is left is a fair part
of the data, in which equal rows still meet, as they have equal digests.
"""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from parfocal.registry.values import dumps
from parfocal.training.data.lessons import lessons
from parfocal.training.data.rows import Example, PreferenceRow, PromptRow, Row, UnpairedRow, row_of
from parfocal.training.findings import Finding, Severity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_DIGESTS = 4_000_000  # of each kind: 64 MB
_LINE_BITS = 40
_KEPT = 1000


class Repeats:
    """Finds rows that teach the same, and rows that teach otherwise after the same prompt."""

    def __init__(self, most: int = MOST_DIGESTS) -> None:
        self._sources: dict[str, int] = {}
        self._contents = _Digests(most)
        self._answers = _Digests(most)

    def add(self, example: Example) -> None:
        """Notes one row."""
        row = row_of(example)
        source = self._sources.setdefault(row.source, len(self._sources))
        place = source << _LINE_BITS | row.line
        self._contents.add(_content(example), 0, place)
        for asked, answered in _lessons(example):
            self._answers.add(asked, answered, place)

    def findings(self) -> Iterator[Finding]:
        """Yields warnings for rows that teach the same twice, or teach two answers to one prompt."""
        names = list(self._sources)
        repeated = self._contents.again()
        # Of a part of the answers nobody could tell which are in rows that are repeated whole.
        again = self._answers.again(same_value=True) - repeated if self._answers.part == 1 else set()
        several = self._answers.several()
        kinds = (
            (
                "DUPLICATE",
                "repeat an earlier row word for word; each counts again in training",
                "remove the copies, unless they are meant to weigh more",
                repeated,
                self._contents.part,
            ),
            (
                "REPEATED_ANSWER",
                "teach answers that an earlier row teaches too, as chats unrolled turn by turn do; each "
                "counts again in training, unless its weight is 0",
                "",
                again,
                self._answers.part,
            ),
            (
                "CONTRADICTION",
                "give different answers to the same prompt, so no adapter can learn them all",
                "keep the right one, or say in the prompt what makes the difference",
                several,
                self._answers.part,
            ),
        )
        for code, message, fix, places, part in kinds:
            for at, name in enumerate(names):
                lines = sorted(place & (1 << _LINE_BITS) - 1 for place in places if place >> _LINE_BITS == at)
                if lines:
                    looked = f" (looked at in one of {part} rows)" if part > 1 else ""
                    kept = tuple(lines[:_KEPT])
                    more = len(lines) - len(kept)
                    yield Finding(Severity.WARNING, code, message + looked, name, kept, fix, more)


def check_repeats(rows: Sequence[Example]) -> Iterator[Finding]:
    """Yields warnings for those of `rows` that teach the same twice, or two answers to one prompt."""
    repeats = Repeats()
    for row in rows:
        repeats.add(row)
    yield from repeats.findings()


class _Digests:
    """Keys with values and places, in the order they came; only every `part`-th key where there are many."""

    def __init__(self, most: int) -> None:
        self.part = 1
        self._most = most
        self._keys, self._values, self._places = array("Q"), array("Q"), array("Q")

    def add(self, key: int, value: int, place: int) -> None:
        if self.part > 1 and key % self.part:
            return
        self._keys.append(key)
        self._values.append(value)
        self._places.append(place)
        if len(self._keys) > self._most:
            self._thin()

    def again(self, *, same_value: bool = False) -> set[int]:
        """The places whose key, with its value if `same_value`, was met before."""
        import numpy as np

        keys, values, places = self._arrays()
        order = np.lexsort((places, values, keys)) if same_value else np.lexsort((places, keys))
        same = keys[order][1:] == keys[order][:-1]
        if same_value:
            same &= values[order][1:] == values[order][:-1]
        return set(places[order][1:][same].tolist())

    def several(self) -> set[int]:
        """The places whose key has more than one value."""
        import numpy as np

        keys, values, places = self._arrays()
        order = np.lexsort((values, keys))
        sorted_keys, sorted_values = keys[order], values[order]
        differs = (sorted_keys[1:] == sorted_keys[:-1]) & (sorted_values[1:] != sorted_values[:-1])
        torn = np.unique(sorted_keys[1:][differs])
        return set(places[np.isin(keys, torn)].tolist())

    def _thin(self) -> None:
        self.part *= 2
        keys, values, places = self._arrays()
        kept = keys % self.part == 0
        self._keys, self._values, self._places = (
            array("Q", each[kept].tobytes()) for each in (keys, values, places)
        )

    def _arrays(self) -> "tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]":
        import numpy as np

        keys, values, places = (
            np.array(each, np.uint64) for each in (self._keys, self._values, self._places)
        )
        return keys, values, places


def _content(example: Example) -> int:
    key = row_of(example).content_key()
    if isinstance(example, PreferenceRow):
        key += example.rejected.content_key()
    elif isinstance(example, UnpairedRow):
        key += b"good" if example.good else b"bad"
    elif isinstance(example, PromptRow):
        key += dumps(repr(sorted(example.fields.items())))
    return _short(key)


def _lessons(example: Example) -> Iterator[tuple[int, int]]:
    """What is asked, and what is answered: for preferences and judgements the order or the verdict."""
    if isinstance(example, Row):
        for lesson in lessons(example):
            answer = example.turns[lesson.turn].said().strip() if lesson.turn < len(example.turns) else ""
            yield int.from_bytes(lesson.prompt[:8], "big"), _short(answer.encode())
        return
    row = row_of(example)
    if isinstance(example, PreferenceRow):
        pair = [row.turns[-1].said(), example.rejected.turns[-1].said()]
        yield _short(row.prompt_key() + dumps(sorted(pair))), int(pair[0] < pair[1])
    elif isinstance(example, UnpairedRow):
        yield _short(row.content_key()), int(example.good)
    else:
        assert isinstance(example, PromptRow)
        yield _short(row.content_key()), _short(repr(sorted(example.fields.items())).encode())


def _short(key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")
