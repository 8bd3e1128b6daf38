"""Adapters in host memory: read, verified and laid out, within a budget of bytes.

An adapter's content never changes under its digest, so nothing here can be stale. No torch, no threads: only
the engine's own thread touches it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Protocol

from parfocal.engine.adapters.eviction import Ageing, Use, read_cost, worth
from parfocal.engine.request import AdapterKey


class Staged(Protocol):
    """An adapter in host memory, ready to be copied to the device."""

    @property
    def rank(self) -> int:
        """The highest rank among its modules."""

    @property
    def size_bytes(self) -> int:
        """Its size in host memory."""


@dataclass(slots=True, eq=False)
class HostEntry:
    """An adapter in the tier; `seconds` holds the duration of each stage that brought it here."""

    adapter: AdapterKey
    content: Staged
    seconds: Mapping[str, float] = field(default_factory=dict)
    use: Use = field(default_factory=Use)

    @property
    def worth(self) -> tuple[float, int]:
        """What keeping it is worth: an evicted adapter's files must be read again."""
        size_bytes = self.content.size_bytes
        return worth(self.use, read_cost(size_bytes), size_bytes)


class HostTier:
    """At most `capacity_bytes` of adapters; evicts those worth least first, never one that is needed."""

    def __init__(self, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.size_bytes = 0
        self._entries: dict[str, HostEntry] = {}
        # By worth, least first. A use only ever adds worth, so a worth noted here is never too high.
        self._by_worth: list[tuple[tuple[float, int], str]] = []
        self._ageing = Ageing()

    def __iter__(self) -> Iterator[HostEntry]:
        return iter(tuple(self._entries.values()))

    def find(self, digest: str) -> HostEntry | None:
        """The adapter's entry."""
        return self._entries.get(digest)

    def use(self, digest: str) -> None:
        """Counts a request for the adapter, if it is here."""
        if (entry := self._entries.get(digest)) is not None:
            self._ageing.use(entry.use)

    def held_bytes(self, needed: Collection[str]) -> int:
        """The bytes of those adapters among `needed` that are here."""
        return sum(self._entries[digest].content.size_bytes for digest in needed if digest in self._entries)

    def keep(self, entry: HostEntry, needed: Collection[str]) -> list[HostEntry] | None:
        """Adds an adapter and returns those evicted for it, none of them among `needed`.

        Returns None and changes nothing if there is no room.
        """
        if entry.adapter.digest in self._entries:
            return []
        victims = self._victims(self.size_bytes + entry.content.size_bytes - self.capacity_bytes, needed)
        if victims is None:
            return None
        for victim in victims:
            self._ageing.leaves(victim.worth[0])
            self._remove(victim)
        self._ageing.use(entry.use)
        self._entries[entry.adapter.digest] = entry
        self._note(entry)
        self.size_bytes += entry.content.size_bytes
        return victims

    def _victims(self, excess_bytes: int, needed: Collection[str]) -> list[HostEntry] | None:
        victims: list[HostEntry] = []
        spared: list[HostEntry] = []
        while excess_bytes > 0 and self._by_worth:
            noted, digest = heappop(self._by_worth)
            entry = self._entries[digest]
            if entry.worth > noted:
                self._note(entry)
            elif digest in needed:
                spared.append(entry)
            else:
                victims.append(entry)
                excess_bytes -= entry.content.size_bytes
        enough = excess_bytes <= 0
        for entry in spared if enough else spared + victims:
            self._note(entry)
        return victims if enough else None

    def _note(self, entry: HostEntry) -> None:
        heappush(self._by_worth, (entry.worth, entry.adapter.digest))

    def _remove(self, entry: HostEntry) -> None:
        del self._entries[entry.adapter.digest]
        self.size_bytes -= entry.content.size_bytes
