"""ROUGE: how many words, pairs of words and sequences of words two texts share (Lin 2004)."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.training.metrics.answers import Answer, Scores

_WORDS = re.compile(r"\w+")
_MOST_WORDS = 2000  # the longest common sequence takes their product


@dataclass(frozen=True, slots=True)
class Rouge:
    """F1 of shared words (rouge_1), pairs of words (rouge_2) and the longest common sequence (rouge_l)."""

    leading: str = "rouge_l"

    def scores(self, answers: Sequence[Answer]) -> Scores:
        """Each figure for each answer. Words are compared whatever their case, and not stemmed."""
        pairs = [(_words(answer.written), _words(answer.true)) for answer in answers]
        return Scores(
            {
                "rouge_1": [rouge_n(one, other, 1) for one, other in pairs],
                "rouge_2": [rouge_n(one, other, 2) for one, other in pairs],
                "rouge_l": [rouge_l(one, other) for one, other in pairs],
            }
        )


def rouge_n(written: Sequence[str], true: Sequence[str], length: int) -> float:
    """F1 of the word sequences of a length that both have.

    >>> round(rouge_n("the cat sat".split(), "the cat ran".split(), 1), 3)
    0.667
    """
    one, other = _sequences(written, length), _sequences(true, length)
    return _f1((one & other).total(), one.total(), other.total())


def rouge_l(written: Sequence[str], true: Sequence[str]) -> float:
    """F1 of the longest sequence of words that both have in this order.

    >>> rouge_l("a b c d".split(), "a x c d".split())
    0.75
    """
    one, other = written[:_MOST_WORDS], true[:_MOST_WORDS]
    lengths = [0] * (len(other) + 1)
    for word in one:
        diagonal = 0
        for at, theirs in enumerate(other, start=1):
            above = lengths[at]
            lengths[at] = diagonal + 1 if word == theirs else max(above, lengths[at - 1])
            diagonal = above
    return _f1(lengths[-1], len(one), len(other))


def _sequences(words: Sequence[str], length: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + length]) for at in range(len(words) - length + 1))


def _f1(shared: int, written: int, true: int) -> float:
    """Two texts of no such sequence are alike."""
    return 2 * shared / (written + true) if written + true else 1.0


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.casefold())
