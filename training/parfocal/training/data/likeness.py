"""Rows that are nearly the same, as copies with a word changed are: found by the word triples they share.

Phrases that many rows have, such as a fixed instruction, say nothing and do not count. Costs about as much
as reading the rows: only triples of the few rows that are asked about are looked up (w-shingling and
containment: Broder, On the resemblance and containment of documents, 1997).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from parfocal.training.data.lessons import system_counts
from parfocal.training.data.rows import Row, normalised

_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+")  # a CJK character is a word
_LENGTH = 3
_SHARED = 0.8  # of a row's telling triples
_FEW_ROWS = 10  # what more rows than these and than one in fifty have is a phrase
_PHRASE_PART = 50
_COMPARED = 4000  # characters
_SHOWN = 60


def near_duplicates(known: Sequence[Row], asked: Sequence[Row]) -> dict[int, int]:
    """For the rows of `asked` that nearly all are in one row of `known`: that row, both by index."""
    whole = system_counts((*known, *asked))
    wanted = [_triples(row, whole) for row in asked]
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for at, triples in enumerate(wanted):
        for triple in triples:
            holders[triple].append(at)
    found = [_triples(row, whole) & holders.keys() for row in known]
    counts = Counter(triple for triples in found for triple in triples)
    most = max(_FEW_ROWS, len(known) // _PHRASE_PART)
    phrases = {triple for triple, count in counts.items() if count > most}
    needed = {
        at: _SHARED * len(telling) for at, triples in enumerate(wanted) if (telling := triples - phrases)
    }
    pairs: dict[int, int] = {}
    for other, triples in enumerate(found):
        shared = Counter(at for triple in triples - phrases for at in holders[triple])
        for at in _enough(shared, needed):
            pairs.setdefault(at, other)
    return pairs


def common_run(one: str, other: str) -> str:
    """The longest run of characters that both texts have.

    >>> common_run("the old house", "that old horse")
    ' old ho'
    """
    low, high, best = 0, min(len(one), len(other)), ""
    while low < high:
        length = (low + high + 1) // 2
        runs = {one[at : at + length] for at in range(len(one) - length + 1)}
        run = next(
            (
                other[at : at + length]
                for at in range(len(other) - length + 1)
                if other[at : at + length] in runs
            ),
            None,
        )
        if run is None:
            high = length - 1
        else:
            low, best = length, run
    return best


def told_run(one: str, other: str) -> str:
    """The longest run of characters that the beginnings of both texts have, in words."""
    run = common_run(one[:_COMPARED], other[:_COMPARED]).strip()
    shown = run if len(run) <= _SHOWN else f"{run[:_SHOWN]}…"
    return f", {len(run)} characters on end in both: {shown!r}"


def _enough(shared: Mapping[int, int], needed: Mapping[int, float]) -> list[int]:
    return [at for at, count in shared.items() if count >= needed[at]]


def _triples(row: Row, whole: bool) -> set[tuple[str, ...]]:
    turns = row.turns if whole else row.talk
    words = _WORDS.findall(normalised(" ".join(turn.content for turn in turns)))
    if len(words) <= _LENGTH:
        return {tuple(words)} if words else set()
    return {tuple(words[at : at + _LENGTH]) for at in range(len(words) - _LENGTH + 1)}
