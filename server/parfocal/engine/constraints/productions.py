"""A context-free grammar over characters, and what can be told of its parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

LAST_CHARACTER = 0x10FFFF
_MOST_CHARACTERS = 64 << 10  # of a regular expression

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Characters:
    """One of the characters in these ranges of code points, both ends included."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Name:
    """What the rule of this name derives."""

    name: str


@dataclass(frozen=True, slots=True)
class Series:
    """One part after the other."""

    parts: "tuple[Part, ...]"


@dataclass(frozen=True, slots=True)
class Either:
    """One of the options."""

    options: "tuple[Part, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """The part from `least` to `most` times; None is without end."""

    part: "Part"
    least: int
    most: int | None


Part = Characters | Name | Series | Either | Repeat


def overlap(one: Ranges, other: Ranges) -> bool:
    """Whether any character is in both."""
    return any(a <= d and c <= b for a, b in one for c, d in other)


class Productions:
    """The rules of a grammar by name. Every name in them is there."""

    def __init__(self, rules: Mapping[str, Part]) -> None:
        self.rules = rules
        self._expressions: dict[str, str | None] = {}
        self._first: dict[str, tuple[Ranges, bool]] = {}
        self._ends: dict[str, bool] = {}

    @cached_property
    def recursive(self) -> frozenset[str]:
        """The rules that lead back to themselves, or to one that does."""
        uses = {name: names_in(part) for name, part in self.rules.items()}
        plain: set[str] = set()
        while more := {name for name, used in uses.items() if name not in plain and used <= plain}:
            plain |= more
        return frozenset(uses) - plain

    def is_regular(self, part: Part) -> bool:
        """Whether a regular expression can say the same, without recursion."""
        return not names_in(part) & self.recursive

    def expression(self, part: Part) -> str | None:
        """The regular expression of a part that is regular; None where it would be too long."""
        match part:
            case Characters(ranges):
                return f"[{''.join(f'{_hex(low)}-{_hex(high)}' for low, high in ranges)}]"
            case Name(name):
                if name not in self._expressions:
                    self._expressions[name] = self.expression(self.rules[name])
                return self._expressions[name]
            case Series(parts):
                return _joined([self.expression(one) for one in parts], "")
            case Either(options):
                return _joined([self.expression(one) for one in options], "|")
            case Repeat(inner, least, most):
                found = self.expression(inner)
                return None if found is None else f"({found}){{{least},{'' if most is None else most}}}"

    def first(self, part: Part) -> tuple[Ranges, bool]:
        """The characters with which a regular part may begin, and whether it may be empty."""
        match part:
            case Characters(ranges):
                return ranges, False
            case Name(name):
                if name not in self._first:
                    self._first[name] = self.first(self.rules[name])
                return self._first[name]
            case Series(parts):
                return self._first_of_series(parts)
            case Either(options):
                found = [self.first(one) for one in options]
                return tuple({r for ranges, _ in found for r in ranges}), any(empty for _, empty in found)
            case Repeat(inner, least, most):
                ranges, is_empty = self.first(inner)
                return ((), True) if most == 0 else (ranges, is_empty or least == 0)

    def ends_itself(self, part: Part) -> bool:
        """Whether each character tells what the next may be, and the part's end is never a matter of choice.

        No text of such a regular part is the beginning of another one. True only where that is easily seen.
        """
        match part:
            case Characters():
                return True
            case Name(name):
                if name not in self._ends:
                    self._ends[name] = self.ends_itself(self.rules[name])
                return self._ends[name]
            case Series(parts):
                return self._series_ends_itself(parts)
            case Either(options):
                firsts = [self.first(one)[0] for one in options]
                apart = not any(overlap(a, b) for n, a in enumerate(firsts) for b in firsts[:n])
                return apart and all(map(self.ends_itself, options))
            case Repeat(inner, least, most):
                return least == most and least > 0 and self.ends_itself(inner)

    def _first_of_series(self, parts: Sequence[Part]) -> tuple[Ranges, bool]:
        found: set[tuple[int, int]] = set()
        for one in parts:
            ranges, is_empty = self.first(one)
            found |= set(ranges)
            if not is_empty:
                return tuple(found), False
        return tuple(found), True

    def _series_ends_itself(self, parts: Sequence[Part]) -> bool:
        if not parts or not self.ends_itself(parts[-1]):
            return False
        return all(
            self.ends_itself(one) or self._gives_way(one, parts[place + 1 :])
            for place, one in enumerate(parts[:-1])
        )

    def _gives_way(self, part: Part, rest: Sequence[Part]) -> bool:
        """Whether a repetition always sees from the next character whether it goes on."""
        while isinstance(part, Name):
            part = self.rules[part.name]
        if not isinstance(part, Repeat) or not self.ends_itself(part.part):
            return False
        return not overlap(self.first(part.part)[0], self._first_of_series(rest)[0])


def names_in(part: Part) -> frozenset[str]:
    """The names of the rules that a part uses itself."""
    match part:
        case Characters():
            return frozenset()
        case Name(name):
            return frozenset({name})
        case Series(parts) | Either(parts):
            return frozenset().union(*map(names_in, parts))
        case Repeat(inner, _, _):
            return names_in(inner)


def _joined(expressions: Sequence[str | None], between: str) -> str | None:
    found = [one for one in expressions if one is not None]
    whole = f"({between.join(found)})"
    return whole if len(found) == len(expressions) and len(whole) <= _MOST_CHARACTERS else None


def _hex(point: int) -> str:
    return f"\\x{{{point:X}}}"
