"""What an adapter is worth keeping: size, recency, frequency and the cost to bring it back, in one number.

GreedyDual-Size-Frequency (Cherkasova, HP Labs 1998): worth = clock + uses * cost / size. The clock is the
worth of the last adapter evicted, as read at each use, so an adapter that is no longer used is overtaken in
time, however popular it was. Costs are in bytes copied from host memory, estimated and not measured: the same
history always evicts the same adapters. No torch, no threads.
"""

from dataclasses import dataclass

# Bytes that could be copied in the time that a load takes beside its bytes: waking a thread and hundreds of
# small copies, or opening and checking files.
_COPY_OVERHEAD = 1 << 20
_READ_OVERHEAD = 1 << 24
# Reading, hashing, converting and transposing a byte, against copying it (measured: 25 ms against 2.4).
_READ_FACTOR = 10


@dataclass(slots=True)
class Use:
    """How often an adapter was used since it came, the clock at its last use, and that use's number."""

    count: int = 0
    clock: float = 0.0
    at: int = 0


class Ageing:
    """One tier's clock, and its count of uses."""

    def __init__(self) -> None:
        self._clock = 0.0
        self._uses = 0

    def use(self, use: Use) -> None:
        """Counts one use now."""
        self._uses += 1
        use.count += 1
        use.clock, use.at = self._clock, self._uses

    def leaves(self, worth: float) -> None:
        """Advances the clock to the worth of what was evicted."""
        self._clock = max(self._clock, worth)


def copy_cost(size_bytes: int) -> float:
    """The cost of a load from host memory."""
    return _COPY_OVERHEAD + size_bytes


def read_cost(size_bytes: int) -> float:
    """The cost of a load from the adapter's files."""
    return _READ_OVERHEAD + _READ_FACTOR * size_bytes


def worth(use: Use, cost: float, size_bytes: int) -> tuple[float, int]:
    """What keeping it is worth; the most recent use breaks ties.

    >>> rare, often = Use(1, 0.0, 1), Use(3, 0.0, 2)
    >>> worth(rare, copy_cost(1 << 20), 1 << 20), worth(often, read_cost(1 << 20), 1 << 20)
    ((2.0, 1), (78.0, 2))
    """
    return use.clock + use.count * cost / max(1, size_bytes), use.at
