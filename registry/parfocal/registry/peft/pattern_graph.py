"""A pattern as a graph: states, and edges that say which positions of a path lead from one to the next.

A set of positions is an integer whose bit i stands for the place before character i, so that one step moves
all of them; a whole match costs at most states times positions steps, and is stopped where a budget ends.
"""

from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

_MAX_STATES = 2000
# What a match costs before its first step, and a condition, in steps.
_MATCH_STEPS = 4
_CONDITION_STEPS = 4


class PatternError(ValueError):
    """A pattern is not written in the syntax that module paths need, or costs too much to match."""


class Work:
    """What all patterns of an adapter may take together: steps, two seconds' worth; states, 30 MB of them."""

    def __init__(self, steps: int = 2_000_000, states: int = 50_000) -> None:
        self._steps = steps
        self._states = states

    def spend(self, steps: int) -> None:
        """Counts steps; raises PatternError when none are left."""
        self._steps -= steps
        if self._steps < 0:
            raise PatternError("it takes too many steps to match; write it with fewer repeats")

    def add_state(self) -> None:
        """Counts a state; raises PatternError when there are too many."""
        self._states -= 1
        if self._states < 0:
            raise PatternError("the patterns are too large together; write them with smaller repeat counts")


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
        """`positions()`, computed once for each key."""
        if key not in self._known:
            self.work.spend(_CONDITION_STEPS)
            self._known[key] = positions()
        return self._known[key]

    def before(self, characters: Characters) -> int:
        """The positions before one of `characters`."""
        return self.known(characters, lambda: self._before(characters))

    def _before(self, characters: Characters) -> int:
        chosen, places = characters.chosen, self._places
        self.work.spend(min(len(chosen), len(places)) // 8)
        positions = 0
        for character in chosen if len(chosen) < len(places) else places:
            if character in chosen:
                positions |= places.get(character, 0)
        return (self.end - 1) ^ positions if characters.negated else positions

    @cached_property
    def _places(self) -> dict[str, int]:
        """The positions before each character that the path has."""
        places: dict[str, int] = {}
        for place, character in enumerate(self.text):
            places[character] = places.get(character, 0) | 1 << place
        return places


class Edge(Protocol):
    """A way from one state to another."""

    def forward(self, path: ModulePath, positions: int) -> int:
        """Where a match may be after the edge that was at `positions` before it."""

    def backward(self, path: ModulePath, positions: int) -> int:
        """Where a match may have been before the edge that is at `positions` after it."""


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
    """States from 0, the first, on; `last` is the one that a whole match ends in.

    Nothing is added once it was matched. `work` is shared by all graphs of an adapter.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._out: list[list[tuple[int, Edge]]] = [[]]
        self._in: list[list[tuple[int, Edge]]] = [[]]
        self.last = 0

    def state_after(self, state: int, edge: Edge) -> int:
        """A new state that `edge` leads to; raises PatternError when there are too many."""
        if len(self._out) >= _MAX_STATES:
            raise PatternError("it is too large; write it with smaller repeat counts")
        self._work.add_state()
        self._out.append([])
        self._in.append([])
        self.connect(state, len(self._out) - 1, edge)
        return len(self._out) - 1

    def connect(self, source: int, target: int, edge: Edge) -> None:
        """Adds an edge."""
        self._out[source].append((target, edge))
        self._in[target].append((source, edge))

    def ends(self, path: ModulePath, beginnings: int) -> int:
        """Where matches from `beginnings` on may end; raises PatternError when it costs too much."""
        return _spread(self._forward, path, (0, beginnings)).get(self.last, 0)

    def beginnings(self, path: ModulePath, ends: int) -> int:
        """Where matches that end at `ends` may begin; raises PatternError when it costs too much."""
        return _spread(self._backward, path, (self.last, ends)).get(0, 0)

    @cached_property
    def _forward(self) -> _Moves:
        return [[(target, edge.forward) for target, edge in edges] for edges in self._out]

    @cached_property
    def _backward(self) -> _Moves:
        return [[(source, edge.backward) for source, edge in edges] for edges in self._in]


def _spread(moves: _Moves, path: ModulePath, start: tuple[int, int]) -> dict[int, int]:
    """The positions that states are reached at; no position takes an edge twice.

    Costs nothing for states that are never reached: most matches end at their first character.
    """
    path.work.spend(_MATCH_STEPS)
    reached = dict([start])
    fresh = dict([start])
    waiting = deque([start[0]])
    while waiting:
        state = waiting.popleft()
        positions = fresh.pop(state)
        path.work.spend(len(moves[state]) + 1)
        for target, move in moves[state]:
            known = reached.get(target, 0)
            new = move(path, positions) & ~known
            if not new:
                continue
            if target not in fresh:
                waiting.append(target)
            fresh[target] = fresh.get(target, 0) | new
            reached[target] = known | new
    return reached
