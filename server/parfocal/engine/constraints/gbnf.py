"""Translates llama.cpp's EBNF (GBNF) into the Lark dialect of llguidance, character by character.

A parser there takes the longest lexeme, so that `[a-z]* "b"` would never see its `b`. Where every lexeme is a
single character there is no longest one, and a grammar means what it says.

Source: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from parfocal.engine.errors import ConstraintRefused

_ROOT = "root"
_MOST_GROUPS = 100  # inside one another
_MOST_REPEATS = 10_000
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
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_LAST_CHARACTER = 0x10FFFF


@dataclass(frozen=True, slots=True)
class _Word:
    """A piece of the grammar, and the line on which it stands."""

    kind: str
    text: str
    line: int


def lark_of(grammar: str) -> str:
    """The rules in Lark's notation, from `start` on.

    Raises:
        ConstraintRefused: the grammar is not written as it must be, or has no rule `root`.
    """
    return _Reader(list(_words(grammar))).rules()


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
        self._names: dict[str, str] = {}  # as they are called in Lark, by their own
        self._used: dict[str, _Word] = {}

    def rules(self) -> str:
        """Every rule, a line for each."""
        lines: dict[str, str] = {}
        while self._skip_newlines().kind != "end":
            name = self._take("name", "the name of a rule")
            self._take("define", f"::= after {name.text}")
            if name.text in lines:
                raise _refused(name.line, f"there are two rules {name.text}", "write them as one, with |")
            self._skip_newlines()
            lines[name.text] = f"{self._name(name.text)}: {self._alternatives(0)}"
            if self._next.kind not in ("newline", "end"):
                raise _refused(self._next.line, f"{self._next.text!r} is out of place", "begin a new line")
        for name_used, word in self._used.items():
            if name_used not in lines:
                raise _refused(word.line, f"there is no rule {name_used}", "add it")
        if _ROOT not in lines:
            raise _refused(1, f"there is no rule {_ROOT}", "name the first rule so")
        return "\n".join(lines.values())

    def _alternatives(self, groups: int) -> str:
        found = [self._sequence(groups)]
        while self._next.text == "|":
            self._at += 1
            self._skip_newlines()
            found.append(self._sequence(groups))
        return " | ".join(found)

    def _sequence(self, groups: int) -> str:
        found: list[str] = []
        while True:
            if groups:
                self._skip_newlines()
            word = self._next
            if word.kind == "repeat" and found:
                found[-1] += _repeat(word)
                self._at += 1
            elif word.kind in ("literal", "characters", "name") or word.text in (".", "("):
                self._at += 1
                found.append(self._item(word, groups))
            else:
                return " ".join(found) or '""'

    def _item(self, word: _Word, groups: int) -> str:
        if word.kind == "name":
            self._used.setdefault(word.text, word)
            return self._name(word.text)
        if word.kind == "literal":
            spelt = [f"/{_hex(one)}/" for one in _characters(word)]
            return f"({' '.join(spelt)})" if spelt else '""'
        if word.kind == "characters":
            return f"/{_class(word)}/"
        if word.text == ".":
            return f"/[{_hex(0)}-{_hex(_LAST_CHARACTER)}]/"
        if groups >= _MOST_GROUPS:
            raise _refused(
                word.line, f"there are more than {_MOST_GROUPS} groups in one another", "use rules"
            )
        inside = self._alternatives(groups + 1)
        self._take("mark", "a closing parenthesis", ")")
        return f"({inside})"

    def _name(self, name: str) -> str:
        """Lark's own names mean something: only lower-case ones are rules."""
        return self._names.setdefault(name, "start" if name == _ROOT else f"r{len(self._names)}")

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


def _repeat(word: _Word) -> str:
    counts = [int(one) for one in re.findall(r"\d+", word.text)]
    if any(one > _MOST_REPEATS for one in counts):
        raise _refused(word.line, f"{word.text} repeats more than {_MOST_REPEATS} times", "write * or +")
    if len(counts) == 2 and counts[0] > counts[1]:
        raise _refused(word.line, f"{word.text} ends before it begins", "write the lower number first")
    return word.text.replace(" ", "")


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
        if point > _LAST_CHARACTER or 0xD800 <= point < 0xE000:
            raise _refused(word.line, f"{match[0]} is no character", "write another")
        return point
    return ord(_ESCAPED.get(match["escaped"] or "", match["escaped"] or match["plain"]))


def _class(word: _Word) -> str:
    """A set of characters as regular expressions write it, every one by its number."""
    text = word.text[1:-1]
    negated = text.startswith("^")
    points = _characters(_Word(word.kind, f"[{text[negated:]}]", word.line))
    if not points:
        raise _refused(word.line, f"{word.text} has no characters", "name at least one")
    hyphens = _plain_hyphens(text[negated:])
    parts, at = [], 0
    while at < len(points):
        if at + 2 < len(points) and at + 1 in hyphens:
            if points[at] > points[at + 2]:
                raise _refused(word.line, f"{word.text} has a range that ends before it begins", "turn it")
            parts.append(f"{_hex(points[at])}-{_hex(points[at + 2])}")
            at += 3
        else:
            parts.append(_hex(points[at]))
            at += 1
    return f"[{'^' * negated}{''.join(parts)}]"


def _plain_hyphens(text: str) -> set[int]:
    """Which characters of a set are hyphens without a backslash."""
    return {number for number, match in enumerate(_CHARACTER.finditer(text)) if match[0] == "-"}


def _hex(point: int) -> str:
    return f"\\x{{{point:X}}}"


def _refused(line: int, fault: str, advice: str) -> ConstraintRefused:
    return ConstraintRefused(f"the grammar, line {line}: {fault}; {advice}", field="output_format")
