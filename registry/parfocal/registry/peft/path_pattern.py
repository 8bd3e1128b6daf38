"""A regular expression over module paths that is matched in one pass, however it was written.

Python's `re` can take hours over a few nested choices, and holds the interpreter all the while; patterns
come from strangers. Knows the part of the syntax that module paths need: characters, `.`, `[0-9]`, `\\d`,
`\\w`, groups, `*`, `+`, `?`, `|`, `^`, `$`.
"""

import string
from collections.abc import Callable
from typing import TypeAlias

_WORD = string.ascii_letters + string.digits + "_"
_CLASSES = {"d": string.digits, "w": _WORD, ".": ".", "-": "-", "_": "_"}
_LITERALS = frozenset(_WORD + "-")
_MAX_DEPTH = 20


class PatternError(ValueError):
    """A pattern that is not written in the syntax that module paths need."""


class ModulePath:
    """A path, and where its characters are, as bit sets: bit i stands for the place before character i."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._places: dict[str, int] = {}
        self.end = 1 << len(text)

    def where(self, characters: str) -> int:
        """Returns the places of any of `characters`; the empty text means any character."""
        if not characters:
            return self.end - 1
        if characters not in self._places:
            self._places[characters] = sum(
                1 << i for i, found in enumerate(self._text) if found in characters
            )
        return self._places[characters]


# Takes the places where a match may have come so far, and returns the places that it may reach from there.
_Step: TypeAlias = Callable[[ModulePath, int], int]


class PathPattern:
    """A pattern for the end of a path, from its beginning or from behind a dot on; raises PatternError."""

    def __init__(self, text: str) -> None:
        reader = _Reader(text)
        self._reach = reader.choices(0)
        if reader.rest:
            raise PatternError(f"')' at character {len(text) - len(reader.rest) + 1} closes nothing")

    def matches(self, path: ModulePath) -> bool:
        """Returns whether `re.match(rf"(.*\\.)?({text})$", path)` would match."""
        beginnings = 1 | path.where(".") << 1
        return bool(self._reach(path, beginnings) & path.end)


class _Reader:
    """Reads a pattern from left to right into steps."""

    def __init__(self, text: str) -> None:
        self.rest = text

    def choices(self, depth: int) -> _Step:
        """Reads sequences with `|` between them, up to a closing parenthesis or the end."""
        if depth > _MAX_DEPTH:
            raise PatternError(f"groups are nested more than {_MAX_DEPTH} deep")
        ways = [self._sequence(depth)]
        while self._take("|"):
            ways.append(self._sequence(depth))
        return ways[0] if len(ways) == 1 else _any_of(ways)

    def _sequence(self, depth: int) -> _Step:
        steps: list[_Step] = []
        while self.rest and self.rest[0] not in "|)":
            steps.append(self._item(depth))
        return _one_after_another(steps)

    def _item(self, depth: int) -> _Step:
        if self._take("("):
            self._take("?:")
            inner = self.choices(depth + 1)
            if not self._take(")"):
                raise PatternError("'(' is never closed")
            return self._repeated(inner)
        if self._take("^"):
            return _at_beginning
        if self._take("$"):
            return _at_end
        return self._repeated(_one_of(self._characters()))

    def _repeated(self, step: _Step) -> _Step:
        if self._take("*"):
            return _many(step, at_least_one=False)
        if self._take("+"):
            return _many(step, at_least_one=True)
        return _any_of([step, _nothing]) if self._take("?") else step

    def _characters(self) -> str:
        """Reads what stands for one character and returns all that it can be, empty for any."""
        if self._take("."):
            return ""
        if self._take("\\"):
            return self._escaped()
        if self._take("["):
            return self._set()
        if not self.rest or self.rest[0] not in _LITERALS:
            raise PatternError(f"{self.rest[:1]!a} is not known in patterns of module paths")
        return self._next()

    def _escaped(self) -> str:
        if not self.rest or self.rest[0] not in _CLASSES:
            raise PatternError(f"'\\' before {self.rest[:1]!a} is not known in patterns of module paths")
        return _CLASSES[self._next()]

    def _set(self) -> str:
        inside, closing, self.rest = self.rest.partition("]")
        if not closing or not inside or not set(inside) <= _LITERALS:
            raise PatternError("'[' must be closed and hold letters, digits, '_' and ranges")
        found = ""
        while inside:
            if inside[1:2] == "-" and len(inside) > 2:
                if inside[0] > inside[2]:
                    raise PatternError(f"the range {inside[:3]} is backwards")
                found += "".join(map(chr, range(ord(inside[0]), ord(inside[2]) + 1)))
                inside = inside[3:]
            else:
                found, inside = found + inside[0], inside[1:]
        return found

    def _next(self) -> str:
        first, self.rest = self.rest[0], self.rest[1:]
        return first

    def _take(self, token: str) -> bool:
        if not self.rest.startswith(token):
            return False
        self.rest = self.rest[len(token) :]
        return True


def _one_of(characters: str) -> _Step:
    return lambda path, places: (places & path.where(characters)) << 1


def _one_after_another(steps: list[_Step]) -> _Step:
    def reach(path: ModulePath, places: int) -> int:
        for step in steps:
            places = step(path, places)
        return places

    return reach


def _any_of(ways: list[_Step]) -> _Step:
    def reach(path: ModulePath, places: int) -> int:
        reached = 0
        for way in ways:
            reached |= way(path, places)
        return reached

    return reach


def _many(step: _Step, at_least_one: bool) -> _Step:
    def reach(path: ModulePath, places: int) -> int:
        reached = 0 if at_least_one else places
        new = step(path, places)
        while new & ~reached:
            reached |= new
            new = step(path, new)
        return reached

    return reach


def _nothing(path: ModulePath, places: int) -> int:
    return places


def _at_beginning(path: ModulePath, places: int) -> int:
    return places & 1


def _at_end(path: ModulePath, places: int) -> int:
    return places & path.end
