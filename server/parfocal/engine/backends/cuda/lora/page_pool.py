"""Equal pages of device memory, and how an adapter's matrices are packed into them. No torch.

Adapters of all ranks and kinds share one pool: all pages are equal, so no order of loads and evictions
fragments it. (Paging adapters' weights is S-LoRA's idea, arXiv 2311.03285; there a page holds one row, here
it holds whole matrices, so that kernels and copies see long runs.)
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.engine.errors import AdapterRefused, NoRoom

# A page must hold the largest matrix; with this minimum, even a small base's pages copy fast.
_LEAST_PAGE_BYTES = 1 << 16
_ALIGNED_BYTES = 64


@dataclass(frozen=True, slots=True)
class Packing:
    """How many pages are needed, and for each matrix the page and the byte where it begins."""

    pages: int
    places: tuple[tuple[int, int], ...]


class PagePool:
    """`count` pages; whoever takes some owns them until they are given back. Thread-safe."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = list(range(count - 1, -1, -1))
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """How many pages are taken."""
        return self.count - len(self._free)

    def take(self, count: int) -> tuple[int, ...]:
        """The numbers of `count` pages.

        On failure takes none: raises NoRoom if others hold them, AdapterRefused if the pool is too small.
        """
        if count > self.count:
            raise AdapterRefused(
                f"the adapter takes {count} pages of device memory, but the pool has {self.count}; "
                "raise adapter_bytes or train a lower rank"
            )
        with self._lock:
            if count > len(self._free):
                raise NoRoom(f"{count} pages are needed, {len(self._free)} of {self.count} are free")
            return tuple(self._free.pop() for _ in range(count))

    def give(self, pages: Sequence[int]) -> None:
        """Gives pages back to the pool."""
        with self._lock:
            assert not set(pages) & set(self._free), f"pages {pages} were given back twice"
            self._free += pages


def page_bytes(largest_matrix: int) -> int:
    """A page's size: a power of two that holds the largest matrix.

    >>> page_bytes(1), page_bytes(14336 * 64 * 2)
    (65536, 2097152)
    """
    return max(_LEAST_PAGE_BYTES, 1 << (largest_matrix - 1).bit_length())


def pack(sizes: Sequence[int], size_bytes: int) -> Packing:
    """Packs matrices of `sizes` bytes into pages of `size_bytes`: largest first, first fit.

    >>> pack([40, 100, 60], 128)
    Packing(pages=2, places=((1, 64), (0, 0), (1, 0)))
    """
    room: list[int] = []
    places = [(0, 0)] * len(sizes)
    first_open = 0
    for at in sorted(range(len(sizes)), key=lambda at: (-sizes[at], at)):
        size = aligned(sizes[at])
        assert size <= size_bytes, f"a matrix of {size} bytes does not fit a page of {size_bytes}"
        page = next((page for page in range(first_open, len(room)) if room[page] >= size), len(room))
        if page == len(room):
            room.append(size_bytes)
        places[at] = (page, size_bytes - room[page])
        room[page] -= size
        while first_open < len(room) and room[first_open] < _ALIGNED_BYTES:
            first_open += 1
    return Packing(len(room), tuple(places))


def aligned(size_bytes: int) -> int:
    """The bytes that a matrix takes with padding that aligns the next one to vectors."""
    return -(-size_bytes // _ALIGNED_BYTES) * _ALIGNED_BYTES
