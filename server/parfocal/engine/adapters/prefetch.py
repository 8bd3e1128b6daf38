"""Which adapters are read into host memory before a slot is free for them.

Lives on the engine's thread; never waits.
"""

from collections.abc import Callable, Sequence

from parfocal.engine.adapters.host_tier import HostTier
from parfocal.engine.request import AdapterKey


class Prefetches:
    """Runs at most `most` prefetches at a time, in the order in which requests wait for the adapters.

    Never more than the host tier can hold: one too many would evict another before it was used.
    """

    def __init__(self, host: HostTier, begin: Callable[[AdapterKey], None], most: int) -> None:
        self.wanted: frozenset[str] = frozenset()
        self._host = host
        self._begin = begin
        self._most = most
        self._under_way: dict[str, AdapterKey] = {}
        self._vain: set[str] = set()
        self._largest_bytes = 1

    def __contains__(self, digest: str) -> bool:
        return digest in self._under_way

    @property
    def under_way(self) -> tuple[AdapterKey, ...]:
        """The adapters that are being read."""
        return tuple(self._under_way.values())

    def want(self, adapters: Sequence[AdapterKey], is_coming: Callable[[str], bool]) -> None:
        """Records the adapters that now wait for a slot; starts reading those neither here nor coming."""
        self.wanted = frozenset(adapter.digest for adapter in adapters)
        self._vain &= self.wanted
        for adapter in adapters:
            digest = adapter.digest
            if digest in self or digest in self._vain or self._host.find(digest) or is_coming(digest):
                continue
            if len(self._under_way) >= self._most or not self._has_room():
                return
            self._under_way[digest] = adapter
            self._begin(adapter)

    def ended(self, digest: str) -> None:
        """Forgets a prefetch that is over."""
        del self._under_way[digest]

    def seen(self, size_bytes: int) -> None:
        """Learns an adapter's size, which is unknown until it has been read."""
        self._largest_bytes = max(self._largest_bytes, size_bytes)

    def in_vain(self, digest: str) -> None:
        """Notes that an adapter found no room, so that it is not read again while requests wait for it."""
        self._vain.add(digest)

    def _has_room(self) -> bool:
        coming = (len(self._under_way) + 1) * self._largest_bytes
        return self._host.held_bytes(self.wanted) + coming <= self._host.capacity_bytes
