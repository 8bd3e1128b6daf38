"""The training row that is most like a held-out one: where a wrong answer may come from."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from parfocal.training.figures.evaluated import Item

_LENGTH = 5
_SPACES = re.compile(r"\s+")
_MOST_CHARACTERS = 4000
_MOST = 40
_WIDTH = 160


@dataclass(frozen=True, slots=True)
class TrainingText:
    """A row that was learnt: its line, its prompt and its answer."""

    line: int
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The training row nearest to a held-out one, and the share of five-letter pieces that both have."""

    row: TrainingText
    likeness: float


def nearest(prompts: Mapping[int, str], rows: Iterable[TrainingText]) -> dict[int, Neighbour]:
    """For each prompt, by its key, the row with the most similar prompt (Jaccard over character 5-grams).

    Reads each row once; costs the pieces that rows share with the prompts.
    """
    wanted = {key: _pieces(prompt) for key, prompt in prompts.items()}
    holders: dict[str, list[int]] = defaultdict(list)
    for key, pieces in wanted.items():
        for piece in pieces:
            holders[piece].append(key)
    best: dict[int, Neighbour] = {}
    for row in rows:
        pieces = _pieces(row.prompt)
        shared = Counter(key for piece in pieces & holders.keys() for key in holders[piece])
        for key, count in shared.items():
            likeness = count / (len(pieces) + len(wanted[key]) - count)
            if key not in best or likeness > best[key].likeness:
                best[key] = Neighbour(row, likeness)
    return best


def _pieces(text: str) -> frozenset[str]:
    plain = _SPACES.sub(" ", text[:_MOST_CHARACTERS]).casefold()
    if len(plain) <= _LENGTH:
        return frozenset([plain] if plain else [])
    return frozenset(plain[at : at + _LENGTH] for at in range(len(plain) - _LENGTH + 1))


def neighbours(
    items: Sequence[Item], scores: Sequence[float], rows: Iterable[TrainingText]
) -> dict[int, str]:
    """For each wrong answer, by its place, the training row that is most like its prompt, in one line."""
    wrong = [at for at, score in enumerate(scores) if score < 1][:_MOST]
    if not wrong:
        return {}
    found = nearest({at: items[at].prompt for at in wrong}, rows)
    return {at: _told(one, _WIDTH) for at, one in found.items()}


def _told(found: Neighbour, width: int) -> str:
    parts: Sequence[str] = [_SPACES.sub(" ", text) for text in (found.row.prompt, found.row.answer)]
    prompt, answer = (text if len(text) <= width else f"{text[:width]}…" for text in parts)
    return f"line {found.row.line}, {found.likeness:.0%} alike: {prompt} → {answer}"
