"""The parts that patterns are made of, and how each becomes states and edges of a graph. Reads no text."""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from parfocal.registry.peft.pattern_graph import EMPTY, Characters, Graph, ModulePath, Run, Step, Where, Work

WORD = Characters(frozenset(string.ascii_letters + string.digits + "_"))


class Node(Protocol):
    """A part of a pattern."""

    def add_to(self, graph: Graph, start: int) -> int:
        """Adds the part to the graph behind `start` and returns the state behind the part."""


@dataclass(frozen=True, slots=True)
class One:
    """One character."""

    characters: Characters

    def add_to(self, graph: Graph, start: int) -> int:
        """Adds the part behind `start`; see Node."""
        return graph.state_after(start, Step(self.characters))


@dataclass(frozen=True, slots=True)
class Condition:
    """No character, where a condition holds."""

    holds_at: Callable[[ModulePath], int]

    def add_to(self, graph: Graph, start: int) -> int:
        """Adds the part behind `start`; see Node."""
        return graph.state_after(start, Where(self.holds_at))


@dataclass(frozen=True, slots=True)
class Series:
    """Parts one after another."""

    parts: Sequence[Node]

    def add_to(self, graph: Graph, start: int) -> int:
        """Adds the part behind `start`; see Node."""
        for part in self.parts:
            start = part.add_to(graph, start)
        return start


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several parts."""

    ways: Sequence[Node]

    def add_to(self, graph: Graph, start: int) -> int:
        """Adds the part behind `start`; see Node."""
        first, *others = (way.add_to(graph, start) for way in self.ways)
        end = graph.state_after(first, EMPTY)
        for other in others:
            graph.connect(other, end, EMPTY)
        return end


@dataclass(frozen=True, slots=True)
class Repeat:
    """A part several times; `most` is None where there is no limit."""

    part: Node
    least: int
    most: int | None

    def add_to(self, graph: Graph, start: int) -> int:
        """Adds the part behind `start`; see Node."""
        if self.most is None:
            return self._at_least(graph, start)
        for _ in range(self.least):
            start = self._once(graph, start)
        return self._up_to(graph, start, self.most)

    def _once(self, graph: Graph, start: int) -> int:
        # A state of its own, so that repeating nothing is counted too.
        return self.part.add_to(graph, graph.state_after(start, EMPTY))

    def _at_least(self, graph: Graph, start: int) -> int:
        for _ in range(self.least - 1):
            start = self._once(graph, start)
        if isinstance(self.part, One):
            start = self.part.add_to(graph, start) if self.least else start
            return graph.state_after(start, Run(self.part.characters))
        begin = graph.state_after(start, EMPTY)
        end = self.part.add_to(graph, begin)
        graph.connect(end, begin, EMPTY)
        # A state of its own, so that no edge of another part leads back into the loop.
        return graph.state_after(end if self.least else begin, EMPTY)

    def _up_to(self, graph: Graph, start: int, most: int) -> int:
        end = graph.state_after(start, EMPTY)
        for _ in range(most - self.least):
            start = self._once(graph, start)
            graph.connect(start, end, EMPTY)
        return end


def graph_of(part: Node, work: Work) -> Graph:
    """The graph of a whole pattern; raises PatternError when it is too large."""
    graph = Graph(work)
    graph.last = part.add_to(graph, 0)
    return graph


def look(inner: Node, ahead: bool, wanted: bool, work: Work) -> Condition:
    """The condition that `inner` matches here, ahead or behind, or that it does not."""
    graph = graph_of(inner, work)

    def holds_at(path: ModulePath) -> int:
        find = graph.beginnings if ahead else graph.ends
        positions = find(path, path.everywhere)
        return positions if wanted else path.everywhere & ~positions

    return Condition(holds_at)


def at_beginning(path: ModulePath) -> int:
    """The first position."""
    return 1


def at_end(path: ModulePath) -> int:
    """The last position."""
    return path.end


def at_word_edge(path: ModulePath) -> int:
    """The positions between a word's character and another, or none."""
    inside = path.before(WORD)
    return inside ^ (inside << 1)


def within(path: ModulePath) -> int:
    """The positions that are no edge of a word; an empty path has none, as in Python before 3.14."""
    return path.everywhere & ~at_word_edge(path) if path.text else 0
