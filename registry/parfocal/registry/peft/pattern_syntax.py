"""Reads a regular expression, in the syntax of Python's `re`, into a graph.

Refuses what needs memory of what matched before (back-references, conditions, atomic groups, possessive
repeats), and what no module path needs (escapes for control characters, verbose patterns).
"""

import string
from collections.abc import Callable

from parfocal.registry.peft.pattern_graph import Characters, Graph, ModulePath, PatternError, Work
from parfocal.registry.peft.pattern_parts import (
    WORD,
    Choice,
    Condition,
    Node,
    One,
    Repeat,
    Series,
    at_beginning,
    at_end,
    at_word_edge,
    graph_of,
    look,
    within,
)  # fmt: skip

_MAX_DEPTH = 20
# What a character costs to read, in steps of matching; Python's own reader, which is asked too, counts in.
_STEPS_PER_CHARACTER = 10
_CLASSES = {
    "d": Characters(frozenset(string.digits)),
    "w": WORD,
    "s": Characters(frozenset(string.whitespace)),
    "D": Characters(frozenset(string.digits), negated=True),
    "W": Characters(WORD.chosen, negated=True),
    "S": Characters(frozenset(string.whitespace), negated=True),
}
_ANY = Characters(frozenset("\n"), negated=True)
_LOOKS = (("?=", True, True), ("?!", True, False), ("?<=", False, True), ("?<!", False, False))
_POSITIONS: dict[str, Callable[[ModulePath], int]] = {
    "^": at_beginning,
    "$": at_end,
    "\\A": at_beginning,
    "\\Z": at_end,
    "\\b": at_word_edge,
    "\\B": within,
}


def parse(text: str, work: Work) -> Graph:
    """The graph of a whole pattern; raises PatternError."""
    work.spend(_STEPS_PER_CHARACTER * len(text))
    reader = _Reader(text, work)
    fold = reader.global_flags()
    node = reader.choice(0, fold)
    if reader.rest:
        raise PatternError(f"')' at character {len(text) - len(reader.rest) + 1} closes nothing")
    return graph_of(node, work)


class _Reader:
    """Reads a pattern from left to right; `fold` says whether upper and lower case are the same."""

    def __init__(self, text: str, work: Work) -> None:
        self.rest = text
        self._work = work

    def global_flags(self) -> bool:
        """Reads flags that stand before everything else."""
        if self.rest[:2] != "(?" or self.rest[2:3] not in "aimsu" or not self.rest[2:3]:
            return False
        flags, closing, _ = self.rest[2:].partition(")")
        if not closing or not set(flags) <= set("aimsu"):
            return False
        self.rest = self.rest[len(flags) + 3 :]
        return "i" in flags

    def choice(self, depth: int, fold: bool) -> Node:
        """Reads series with `|` between them, up to a closing parenthesis or the end."""
        if depth > _MAX_DEPTH:
            raise PatternError(f"groups are nested more than {_MAX_DEPTH} deep")
        ways = [self._series(depth, fold)]
        while self._take("|"):
            ways.append(self._series(depth, fold))
        return ways[0] if len(ways) == 1 else Choice(ways)

    def _series(self, depth: int, fold: bool) -> Node:
        parts: list[Node] = []
        while self.rest and self.rest[0] not in "|)":
            position = self._position()
            parts.append(position or self._repeated(self._item(depth, fold)))
        return Series(parts)

    def _position(self) -> Node | None:
        """Reads what stands for no character and cannot be repeated."""
        for written, holds_at in _POSITIONS.items():
            if self._take(written):
                if self.rest[:1] in tuple("*+?") or self._repeat_count():
                    raise PatternError(f"{written} cannot be repeated")
                return Condition(holds_at)
        return None

    def _item(self, depth: int, fold: bool) -> Node:
        if self._take("("):
            return self._group(depth, fold)
        if self._take("."):
            return One(_ANY)
        if self._take("["):
            return One(_folded(self._set(), fold))
        if self._take("\\"):
            return One(_folded(self._escaped(), fold))
        character = self.rest[0]
        if character in "*+?" or self._repeat_count():
            raise PatternError(f"{character!a} repeats nothing")
        self.rest = self.rest[1:]
        return One(_folded(Characters(frozenset(character)), fold))

    def _group(self, depth: int, fold: bool) -> Node:
        for opening, ahead, wanted in _LOOKS:
            if self._take(opening):
                return look(self._inside(depth, fold), ahead, wanted, self._work)
        if self._take("?P<"):
            name, closing, self.rest = self.rest.partition(">")
            if not closing or not name.isidentifier():
                raise PatternError("'(?P<' is not followed by a name and '>'")
        elif self._take("?i:"):
            fold = True
        elif self._take("?") and not self._take(":"):
            raise PatternError(f"'(?{self.rest[:1]}' is not known in patterns of module paths")
        return self._inside(depth, fold)

    def _inside(self, depth: int, fold: bool) -> Node:
        inner = self.choice(depth + 1, fold)
        if not self._take(")"):
            raise PatternError("'(' is never closed")
        return inner

    def _repeated(self, node: Node) -> Node:
        counts = self._counts()
        if counts is None:
            return node
        self._take("?")  # a lazy repeat matches the same paths
        if self.rest[:1] in tuple("*+?") or self._repeat_count():
            raise PatternError("a repeat is repeated, or possessive: put it into a group")
        return Repeat(node, *counts)

    def _counts(self) -> tuple[int, int | None] | None:
        for written, counts in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(written):
                return counts
        written = self._repeat_count()
        self.rest = self.rest[len(written) :]
        return _counts(written) if written else None

    def _repeat_count(self) -> str:
        """The `{2}`, `{2,}`, `{,3}` or `{2,3}` that comes next; any other brace is a character."""
        inside, closing, _ = self.rest[1:].partition("}")
        if self.rest[:1] != "{" or not closing or not inside:
            return ""
        least, _, most = inside.partition(",")
        is_count = all(one == "" or (one.isascii() and one.isdecimal()) for one in (least, most))
        return f"{{{inside}}}" if is_count else ""

    def _escaped(self) -> Characters:
        """Reads what follows a backslash, for one character."""
        character, self.rest = self.rest[:1], self.rest[1:]
        if character in _CLASSES:
            return _CLASSES[character]
        if not character or character.isalnum() or not character.isascii():
            raise PatternError(f"'\\' before {character!a} is not known in patterns of module paths")
        return Characters(frozenset(character))

    def _set(self) -> Characters:
        negated = self._take("^")
        chosen: set[str] = set()
        while not chosen or not self._take("]"):
            first = self._member()
            if self.rest[:1] == "-" and self.rest[1:2] not in ("]", ""):
                self.rest = self.rest[1:]
                chosen |= _range(first, self._member())
            else:
                chosen |= first
        return Characters(frozenset(chosen), negated)

    def _member(self) -> frozenset[str]:
        if not self.rest:
            raise PatternError("'[' is never closed")
        if self._take("\\"):
            escaped = self._escaped()
            if escaped.negated:
                raise PatternError("a negated class within [] is not known in patterns of module paths")
            return escaped.chosen
        character, self.rest = self.rest[0], self.rest[1:]
        if character in "[&~|" or self.rest.startswith("-" * 2):
            raise PatternError(f"{character!a} within [] must be written with a backslash")
        return frozenset(character)

    def _take(self, token: str) -> bool:
        if not self.rest.startswith(token):
            return False
        self.rest = self.rest[len(token) :]
        return True


def _counts(written: str) -> tuple[int, int | None]:
    least, comma, most = written[1:-1].partition(",")
    if max(len(least), len(most)) > 4:
        raise PatternError(f"{written} repeats too often")
    lowest = int(least or 0)
    highest = (int(most) if most else None) if comma else lowest
    if highest is not None and highest < lowest:
        raise PatternError(f"{written} is backwards")
    return lowest, highest


def _range(first: frozenset[str], last: frozenset[str]) -> set[str]:
    if len(first) != 1 or len(last) != 1:
        raise PatternError("a range within [] goes from one character to another")
    (low,), (high,) = first, last
    if low > high:
        raise PatternError(f"the range {low}-{high} is backwards")
    if not high.isascii():
        raise PatternError(f"the range {low!a}-{high!a} leaves ASCII")
    return {chr(code) for code in range(ord(low), ord(high) + 1)}


def _folded(characters: Characters, fold: bool) -> Characters:
    if not fold:
        return characters
    both = {variant for one in characters.chosen for variant in (one, one.lower(), one.upper())}
    return Characters(frozenset(both), characters.negated)
