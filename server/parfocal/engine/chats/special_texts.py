"""Special tokens as texts: tells the template's own from those that someone wrote in a message.

A user's text reaches the template unchanged, because templates cut it up by string methods. To learn where a
special token in the output comes from, the template runs once more, with a mark before every character of a
user's text that could begin one. A token with a mark before or inside it may be the user's: typed, or
assembled from parts. Typed ones have their first character masked in the run that counts: they stay text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from parfocal.engine.chats.messages import Chat

_PRIVATE = range(0x100000, 0x10D000)  # private use: nobody writes these on purpose


class SpecialTexts:
    """The texts of a tokenizer's added tokens; `special` are those with power over the model."""

    def __init__(self, special: Iterable[str], ordinary: Iterable[str]) -> None:
        self._special = frozenset(filter(None, special))
        self._openings = frozenset(text[0] for text in self._special)
        self._added = _any_of(self._special.union(filter(None, ordinary)))
        self._typed = _any_of(self._special | self._openings)

    def may_occur(self, chat: Chat) -> bool:
        """Whether a user's text could become a special token, alone or in parts."""
        return any(not self._openings.isdisjoint(text) for text in chat.texts())

    def found(self, text: str) -> Iterator[tuple[int, str]]:
        """Where in `text` a tokenizer sees which special token: leftmost first, and the longest there."""
        for match in self._added.finditer(text):
            if match[0] in self._special:
                yield match.start(), match[0]

    def marked(self, text: str, mark: str) -> str:
        """`text` with `mark` before every special token and every other character that could begin one."""
        return self._typed.sub(lambda match: mark + match[0], text.replace(mark, ""))

    def typed(self, marked: str, mark: str) -> frozenset[str]:
        """The special tokens with a mark before or inside them, in what the template made of marked texts."""
        pieces = marked.split(mark)
        marks = frozenset(accumulate(map(len, pieces[:-1])))
        found = self.found("".join(pieces))
        return frozenset(token for at, token in found if not marks.isdisjoint(range(at, at + len(token))))

    def powers(self, text: str, quoted: Iterable[int] = ()) -> list[str]:
        """The special tokens of a text in their order, but not those at the places `quoted`."""
        stay = frozenset(quoted)
        return [token for at, token in self.found(text) if at not in stay]

    def mask(self, tokens: Iterable[str] | None, avoid: Iterable[str]) -> "Mask":
        """A mask for whole `tokens`, or else for whatever could begin one, of characters not in `avoid`."""
        ordered = self._openings if tokens is None else frozenset(tokens)
        signs = free_characters(avoid, 1 + len(self._openings))
        openings = sorted(self._openings)
        return Mask(_any_of(ordered), dict(zip(openings, signs[1:], strict=True)), mark=signs[0])


@dataclass(frozen=True, slots=True)
class Mask:
    """Hides whole special tokens by their first character: `signs` has a stand-in for each. Lengths stay."""

    tokens: re.Pattern[str]
    signs: dict[str, str]
    mark: str

    def hidden(self, text: str) -> str:
        """The text with every such token hidden."""
        return self.tokens.sub(lambda match: self.signs[match[0][0]] + match[0][1:], text)

    def shown(self, text: str) -> tuple[str, tuple[int, ...]]:
        """The text as it was, and where hidden tokens begin."""
        places = tuple(match.start() for match in _any_of(self.signs.values()).finditer(text))
        return text.translate({ord(sign): opening for opening, sign in self.signs.items()}), places


def free_characters(avoid: Iterable[str], count: int) -> Sequence[str]:
    """`count` private characters that occur in none of the texts."""
    taken = frozenset().union(*map(frozenset, avoid))
    return list(islice((chr(code) for code in _PRIVATE if chr(code) not in taken), count))


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Finds the leftmost of the texts, and the longest there.

    Texts share their beginnings in the pattern: a tokenizer may have hundreds of special tokens that begin
    alike, and trying one after another would take seconds for a text of nothing but their first character.
    """
    return re.compile(_branches(list(texts)) or "(?!)")


def _branches(endings: Sequence[str]) -> str:
    by_first: dict[str, list[str]] = {}
    for ending in filter(None, endings):
        by_first.setdefault(ending[0], []).append(ending[1:])
    branches = [re.escape(first) + _branches(rest) for first, rest in by_first.items()]
    if len(branches) == 1 and "" not in endings:
        return branches[0]
    return f"(?:{'|'.join(branches)})" + "?" * ("" in endings) if branches else ""
