"""Reads llama.cpp's EBNF (GBNF).

Source: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from parfocal.engine.constraints.productions import (
    LAST_CHARACTER,
    Characters,
    Either,
    Name,
    Part,
    Productions,
    Ranges,
    Repeat,
    Series,
)
from parfocal.engine.errors import ConstraintRefused

ROOT = "root"
_MOST_GROUPS = 100  # inside one another
_MOST_REPEATS = 10_000
_MOST_RULES = 1000
_WORD = re.compile(
    r"""(?P<space>[ \t]+|\#[^\r\n]*) | (?P<newline>[\r\n]+) | (?P<define>::=) | (?P<name>[A-Za-z0-9_-]+)
    | (?P<literal>"(?:[^"\\]|\\.)*") | (?P<characters>\[(?:[^\]\\]|\\.)*\]) | (?P<mark>[|().])
    | (?P<repeat>[*+?]|\{[ ]*\d+[ ]*(?:,[ ]*\d*[ ]*)?\}) | (?P<special><[^>\s]*>)""",
    re.VERBOSE | re.DOTALL,
)
_CHARACTER = re.compile(
    r"\\x(?P<x>[0-9A-Fa-f]{2})|\\u(?P<u>[0-9A-Fa-f]{4})|\\U(?P<U>[0-9A-Fa-f]{8})"
    r"|\\(?P<escaped>[nrt\"\\\[\]^-])|(?P<plain>[^\\])",
    re.DOTALL,
)
_OPERATORS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class _Word:
    """A piece of the grammar, and the line on which it stands."""

    kind: str
    text: str
    line: int


def read_grammar(text: str) -> Productions:
    """The rules of a grammar, one of which is `root`.

    Raises:
        ConstraintRefused: the grammar is not written as it must be, or a rule is missing.
    """
    return Productions(_Reader(list(_words(text))).rules())


def _words(grammar: str) -> Iterator[_Word]:
    at, line = 0, 1
    while at < len(grammar):
        match = _WORD.match(grammar, at)
        if match is None:
            raise _refused(line, f"{grammar[at : at + 20]!r} is not understood", "write it as GBNF does")
        kind = str(match.lastgroup)
        if kind == "special":
            raise _refused(
                line, f"{match[0]} names a token", "grammars are about text: write it as a literal"
            )
        if kind != "space":
            yield _Word(kind, match[0], line)
        line += match[0].count("\n")
        at = match.end()
    yield _Word("end", "", line)


class _Reader:
    """Reads the words of one grammar from the first to the last."""

    def __init__(self, words: list[_Word]) -> None:
        self._words = words
        self._at = 0
        self._used: dict[str, _Word] = {}

    def rules(self) -> dict[str, Part]:
        """Every rule by its name."""
        rules: dict[str, Part] = {}
        while self._skip_newlines().kind != "end":
            name = self._take("name", "the name of a rule")
            self._take("define", f"::= after {name.text}")
            if name.text in rules:
                raise _refused(name.line, f"there are two rules {name.text}", "write them as one, with |")
            if len(rules) >= _MOST_RULES:
                raise _refused(name.line, f"there are more than {_MOST_RULES} rules", "make it smaller")
            self._skip_newlines()
            rules[name.text] = self._alternatives(0)
            if self._next.kind not in ("newline", "end"):
                raise _refused(self._next.line, f"{self._next.text!r} is out of place", "begin a new line")
        for name_used, word in self._used.items():
            if name_used not in rules:
                raise _refused(word.line, f"there is no rule {name_used}", "add it")
        if ROOT not in rules:
            raise _refused(1, f"there is no rule {ROOT}", "name the first rule so")
        return rules

    def _alternatives(self, groups: int) -> Part:
        found = [self._series(groups)]
        while self._next.text == "|":
            self._at += 1
            self._skip_newlines()
            found.append(self._series(groups))
        return found[0] if len(found) == 1 else Either(tuple(found))

    def _series(self, groups: int) -> Part:
        found: list[Part] = []
        while True:
            if groups:
                self._skip_newlines()
            word = self._next
            if word.kind == "repeat" and found:
                found[-1] = _repeat(found[-1], word)
                self._at += 1
            elif word.kind in ("literal", "characters", "name") or word.text in (".", "("):
                self._at += 1
                found.append(self._item(word, groups))
            else:
                return found[0] if len(found) == 1 else Series(tuple(found))

    def _item(self, word: _Word, groups: int) -> Part:
        if word.kind == "name":
            self._used.setdefault(word.text, word)
            return Name(word.text)
        if word.kind == "literal":
            return Series(tuple(Characters(((one, one),)) for one in _characters(word)))
        if word.kind == "characters":
            return _class(word)
        if word.text == ".":
            return Characters(((0, LAST_CHARACTER),))
        if groups >= _MOST_GROUPS:
            raise _refused(
                word.line, f"there are more than {_MOST_GROUPS} groups in one another", "use rules"
            )
        inside = self._alternatives(groups + 1)
        self._take("mark", "a closing parenthesis", ")")
        return inside

    @property
    def _next(self) -> _Word:
        return self._words[self._at]

    def _take(self, kind: str, wanted: str, text: str | None = None) -> _Word:
        word = self._next
        if word.kind != kind or text not in (None, word.text):
            found = repr(word.text) if word.text.strip() else "the end of the line"
            raise _refused(word.line, f"{found} stands where {wanted} must", "correct the rule")
        self._at += 1
        return word

    def _skip_newlines(self) -> _Word:
        while self._next.kind == "newline":
            self._at += 1
        return self._next


def _repeat(part: Part, word: _Word) -> Part:
    if word.text in _OPERATORS:
        return Repeat(part, *_OPERATORS[word.text])
    counts = [int(one) for one in re.findall(r"\d+", word.text)]
    if any(one > _MOST_REPEATS for one in counts):
        raise _refused(word.line, f"{word.text} repeats more than {_MOST_REPEATS} times", "write * or +")
    most = None if word.text.rstrip("} ").endswith(",") else counts[-1]
    if most is not None and counts[0] > most:
        raise _refused(word.line, f"{word.text} ends before it begins", "write the lower number first")
    return Repeat(part, counts[0], most)


def _characters(word: _Word) -> list[int]:
    """The code points of what stands in quotes or brackets; ranges and ^ are not yet understood."""
    found, text, at = [], word.text[1:-1], 0
    while at < len(text):
        match = _CHARACTER.match(text, at)
        if match is None:
            raise _refused(word.line, f"{text[at : at + 2]!r} is no escape", "write \\\\ for a backslash")
        found.append(_code_point(match, word))
        at = match.end()
    return found


def _code_point(match: re.Match[str], word: _Word) -> int:
    if number := match["x"] or match["u"] or match["U"]:
        point = int(number, 16)
        if point > LAST_CHARACTER or 0xD800 <= point < 0xE000:
            raise _refused(word.line, f"{match[0]} is no character", "write another")
        return point
    return ord(_ESCAPED.get(match["escaped"] or "", match["escaped"] or match["plain"]))


def _class(word: _Word) -> Part:
    """A set of characters, or of all others."""
    text = word.text[1:-1]
    is_negated = text.startswith("^")
    points = _characters(_Word(word.kind, f"[{text[is_negated:]}]", word.line))
    hyphens = _plain_hyphens(text[is_negated:])
    ranges, at = list[tuple[int, int]](), 0
    while at < len(points):
        is_range = at + 2 < len(points) and at + 1 in hyphens
        low, high = points[at], points[at + 2 if is_range else at]
        if low > high:
            raise _refused(word.line, f"{word.text} has a range that ends before it begins", "turn it")
        ranges.append((low, high))
        at += 3 if is_range else 1
    kept = _others(ranges) if is_negated else tuple(sorted(ranges))
    if not kept:
        raise _refused(word.line, f"{word.text} has no characters", "name at least one")
    return Characters(kept)


def _others(ranges: list[tuple[int, int]]) -> Ranges:
    """All characters outside the ranges."""
    found, following = list[tuple[int, int]](), 0
    for low, high in sorted(ranges):
        if low > following:
            found.append((following, low - 1))
        following = max(following, high + 1)
    return (*found, (following, LAST_CHARACTER)) if following <= LAST_CHARACTER else tuple(found)


def _plain_hyphens(text: str) -> set[int]:
    """Which characters of a set are hyphens without a backslash."""
    return {number for number, match in enumerate(_CHARACTER.finditer(text)) if match[0] == "-"}


def _refused(line: int, fault: str, advice: str) -> ConstraintRefused:
    return ConstraintRefused(f"the grammar, line {line}: {fault}; {advice}", field="output_format")
