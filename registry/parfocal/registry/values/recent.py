"""Remembers what was used last, up to a number of bytes. Knows nothing of what it holds."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values by key, `limit_bytes` of them at most; any thread may use it.

    What is larger than half of that is not kept: it would drive out too much else.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """How much is held, as told by who put it in."""
        return self._bytes

    def get(self, key: Key) -> Value | None:
        """The value of `key` if it is still held."""
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found[0]

    def put(self, key: Key, value: Value, size_bytes: int) -> None:
        """Holds a value, and forgets those unused for longest where it would be too much."""
        with self._lock:
            self._bytes -= self._held.pop(key, (value, 0))[1]
            if size_bytes > self._limit // 2:
                return
            self._held[key] = (value, size_bytes)
            self._bytes += size_bytes
            while self._bytes > self._limit:
                self._bytes -= self._held.popitem(last=False)[1][1]
