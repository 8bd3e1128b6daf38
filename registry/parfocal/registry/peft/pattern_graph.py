"""A pattern as a graph: states, and edges that say which positions of a path lead from one to the next.

A set of positions is an integer whose bit i stands for the place before character i, so that one step moves
all of them; a whole match costs at most states times positions steps, and is stopped where a budget ends.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

_MAX_STATES = 2000


class PatternError(ValueError):
    """A pattern is not written in the syntax that module paths need, or costs too much to match."""


class Work:
    """How many steps all patterns of an adapter may take together: a few seconds' worth."""

    def __init__(self, steps: int = 2_000_000) -> None:
        self._left = steps

    def spend(self, steps: int) -> None:
        """Counts steps; raises PatternError when none are left."""
        self._left -= steps
        if self._left < 0:
            raise PatternError("it takes too many steps to match; write it with fewer repeats")


@dataclass(frozen=True, slots=True)
class Characters:
    """One character out of `chosen`, or, if `negated`, one that is not."""

    chosen: frozenset[str]
    negated: bool = False


class ModulePath:
    """A path and, once they were asked for, sets of its positions; `work` is shared by an adapter's paths."""

    def __init__(self, text: str, work: Work | None = None) -> None:
        self.text = text
        self.end = 1 << len(text)
        self.everywhere = (self.end << 1) - 1
        self.work = work or Work()
        self._known: dict[Hashable, int] = {}

    def known(self, key: Hashable, positions: Callable[[], int]) -> int:
        """Returns `positions()`, computed once for each key."""
        if key not in self._known:
            self._known[key] = positions()
        return self._known[key]

    def before(self, characters: Characters) -> int:
        """Returns the positions before one of `characters`."""
        return self.known(characters, lambda: self._before(characters))

    def _before(self, characters: Characters) -> int:
        chosen, negated = characters.chosen, characters.negated
        return sum(1 << i for i, one in enumerate(self.text) if (one in chosen) != negated)


class Edge(Protocol):
    """A way from one state to another."""

    def forward(self, path: ModulePath, positions: int) -> int:
        """Returns where a match may be after the edge that was at `positions` before it."""

    def backward(self, path: ModulePath, positions: int) -> int:
        """Returns where a match may have been before the edge that is at `positions` after it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One character."""

    characters: Characters

    def forward(self, path: ModulePath, positions: int) -> int:
        """Moves on by one character."""
        return (positions & path.before(self.characters)) << 1

    def backward(self, path: ModulePath, positions: int) -> int:
        """Moves back by one character."""
        return (positions >> 1) & path.before(self.characters)


@dataclass(frozen=True, slots=True)
class Run:
    """Any number of characters, none included."""

    characters: Characters

    def forward(self, path: ModulePath, positions: int) -> int:
        """Moves on through runs: a carry passes along ones (Parabix's MatchStar)."""
        inside = path.before(self.characters)
        return (((positions & inside) + inside) ^ inside) | positions

    def backward(self, path: ModulePath, positions: int) -> int:
        """Moves back through runs, over twice as many characters each time."""
        inside, length = path.before(self.characters), 1
        while inside:
            positions |= inside & (positions >> length)
            inside &= inside >> length
            length *= 2
        return positions


@dataclass(frozen=True, slots=True)
class Where:
    """No character, at positions that fulfil a condition."""

    positions: Callable[[ModulePath], int]

    def forward(self, path: ModulePath, positions: int) -> int:
        """Stays where the condition holds."""
        return positions & path.known(self, lambda: self.positions(path))

    backward = forward


EMPTY = Where(lambda path: path.everywhere)


# Of each state, what leads where.
_Moves = list[list[tuple[int, Callable[[ModulePath, int], int]]]]


class Graph:
    """States from 0, the first, on; `last` is the one that a whole match ends in."""

    def __init__(self) -> None:
        self._out: list[list[tuple[int, Edge]]] = [[]]
        self._in: list[list[tuple[int, Edge]]] = [[]]
        self.last = 0

    def state_after(self, state: int, edge: Edge) -> int:
        """Returns a new state that `edge` leads to; raises PatternError when there are too many."""
        if len(self._out) >= _MAX_STATES:
            raise PatternError("it is too large; write it with smaller repeat counts")
        self._out.append([])
        self._in.append([])
        self.connect(state, len(self._out) - 1, edge)
        return len(self._out) - 1

    def connect(self, source: int, target: int, edge: Edge) -> None:
        """Adds an edge."""
        self._out[source].append((target, edge))
        self._in[target].append((source, edge))

    def ends(self, path: ModulePath, beginnings: int) -> int:
        """Returns where matches from `beginnings` on may end; raises PatternError when it costs too much."""
        moves: _Moves = [[(target, edge.forward) for target, edge in edges] for edges in self._out]
        return _spread(moves, path, (0, beginnings))[self.last]

    def beginnings(self, path: ModulePath, ends: int) -> int:
        """Returns where matches that end at `ends` may begin; raises PatternError when it costs too much."""
        moves: _Moves = [[(source, edge.backward) for source, edge in edges] for edges in self._in]
        return _spread(moves, path, (self.last, ends))[0]


def _spread(moves: _Moves, path: ModulePath, start: tuple[int, int]) -> list[int]:
    """Returns the positions that each state is reached at; no position takes an edge twice."""
    reached, fresh = [0] * len(moves), [0] * len(moves)
    reached[start[0]] = fresh[start[0]] = start[1]
    waiting = deque([start[0]])
    while waiting:
        state = waiting.popleft()
        positions, fresh[state] = fresh[state], 0
        path.work.spend(len(moves[state]) + 1)
        for target, move in moves[state]:
            new = move(path, positions) & ~reached[target]
            if new and not fresh[target]:
                waiting.append(target)
            fresh[target] |= new
            reached[target] |= new
    return reached
