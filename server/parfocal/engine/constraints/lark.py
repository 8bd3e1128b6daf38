"""Writes a grammar in the Lark dialect of llguidance, so that it means the same there.

A parser there takes the longest lexeme: `[a-z]*` before `"b"` as two lexemes would never see the b. So a
regular grammar becomes one lexeme, and any other one lexeme for each character, but for the parts that end
themselves and cannot be taken for others: quoted strings, for example. They are what takes time.
"""

from collections.abc import Iterator, Sequence

from parfocal.engine.constraints.productions import (
    Characters,
    Either,
    Name,
    Part,
    Productions,
    Ranges,
    Repeat,
    Series,
    overlap,
)

_MOST_TOGETHER = 8
_TRIES = 16


def lark_of(productions: Productions, root: str) -> str:
    """The rules in Lark's notation, from `start` on."""
    if productions.is_regular(Name(root)):
        whole = productions.expression(Name(root))
        if whole is not None:
            return f"start: /{whole}/"
    apart: set[str] = set()
    for most_together in (*[_MOST_TOGETHER] * _TRIES, 1):
        writer = _Writer(productions, root, apart, most_together)
        text = writer.text()
        confused = writer.confused()
        if not confused:
            break
        apart |= confused
    return text


class _Writer:
    """Writes every rule once; what is in `apart`, or all if `most_together` is 1, by its characters."""

    def __init__(self, productions: Productions, root: str, apart: set[str], most_together: int) -> None:
        self._productions = productions
        self._apart = apart
        self._most_together = most_together
        # Lark's own names mean something: only lower-case ones are rules.
        self._names = {name: f"r{number}" for number, name in enumerate(productions.rules)} | {root: "start"}
        self._lexemes: dict[str, Ranges] = {}  # what they begin with
        self._merged: set[str] = set()

    def text(self) -> str:
        """A line for each rule, from the root on."""
        rules = self._productions.rules.items()
        return "\n".join(f"{self._names[name]}: {self._written(part)}" for name, part in rules)

    def confused(self) -> set[str]:
        """The longer lexemes that begin as others do, so that which one it is shows only later."""
        return {
            one
            for one in self._merged
            for other, ranges in self._lexemes.items()
            if other != one and overlap(self._lexemes[one], ranges)
        }

    def _written(self, part: Part) -> str:
        merged = self._lexeme(part)
        if merged is not None:
            return merged
        match part:
            case Characters():
                raise AssertionError("a character is a lexeme")
            case Name(name):
                return self._names[name]
            case Series(parts):
                return " ".join(self._runs(parts)) or '""'
            case Either(options):
                return f"({' | '.join(map(self._written, options))})"
            case Repeat(inner, least, most):
                return f"({self._written(inner)}){{{least},{'' if most is None else most}}}"

    def _runs(self, parts: Sequence[Part]) -> Iterator[str]:
        """The parts of a series, as many as possible together; a text is one or many, nothing between."""
        most = 1 if all(isinstance(one, Characters) for one in parts) else self._most_together
        at = 0
        while at < len(parts):
            for end in range(min(len(parts), at + most), at + 1, -1):
                merged = self._lexeme(Series(tuple(parts[at:end])))
                if merged is not None:
                    yield merged
                    at = end
                    break
            else:
                yield self._written(parts[at])
                at += 1

    def _lexeme(self, part: Part) -> str | None:
        """The part as one lexeme, if it may be one."""
        productions = self._productions
        if not productions.is_regular(part) or not productions.ends_itself(part):
            return None
        expression = productions.expression(part)
        is_single = isinstance(part, Characters)
        if expression is None:
            return None
        if not is_single and (expression in self._apart or self._most_together == 1):
            return None
        self._lexemes[expression] = productions.first(part)[0]
        if not is_single:
            self._merged.add(expression)
        return f"/{expression}/"
